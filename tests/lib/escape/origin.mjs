// An origin that writes down what it takes: origin.mjs CERTIFICATE KEY LOG ADDRESS...
// HTTP/1.1 on port 80, HTTP/1.1 and HTTP/2 on port 443.
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createSecureServer } from "node:http2";

const [certificate, key, log, ...addresses] = process.argv.slice(2);

function take(request, response) {
  const sum = createHash("sha256");
  let length = 0;
  const note = (complete) => {
    if (length < 0) return;
    const headers = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      headers.push([request.rawHeaders[i], request.rawHeaders[i + 1]]);
    const line = {
      origin: "node", client: request.socket.remoteAddress, method: request.method, target: request.url,
      version: `HTTP/${request.httpVersion}`, headers, length, sha256: sum.digest("hex"), complete,
    };
    length = -1;
    appendFileSync(log, JSON.stringify(line) + "\n");
  };
  request.on("data", (piece) => { sum.update(piece); length += piece.length; });
  request.on("end", () => { note(true); response.end(`node ${request.url}\n`); });
  request.on("aborted", () => note(false));
  request.on("error", () => note(false));
}

const tls = { allowHTTP1: true, cert: readFileSync(certificate), key: readFileSync(key) };
for (const address of addresses) {
  createServer(take).listen(80, address);
  createSecureServer(tls, take).listen(443, address);
}
process.on("uncaughtException", (error) => console.error(error));
