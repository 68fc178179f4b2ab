// Prints what a server answers, by the package named: packages.mjs PACKAGE URL [MODEL FILE]
// For a language model each token is written down in FILE when it has come.
import { appendFileSync } from 'node:fs';

const [name, url, model, file] = process.argv.slice(2);
const host = new URL(url).host;

function arrived(token) {
  process.stdout.write(token);
  appendFileSync(file, `${Date.now() / 1000}\n`);
}

const packages = {
  axios: async () => (await (await import('axios')).default.get(url)).data,
  undici: async () => (await (await import('undici')).request(url)).body.text(),
  ws: async () => {
    const { WebSocket } = await import('ws');
    const socket = new WebSocket(`wss://${host}/websocket`);
    return new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('open', () => socket.send('demo'));
      socket.on('message', (text) => {
        socket.close();
        resolve(`${text}\n`);
      });
    });
  },
  'grpc-js': async () => {
    const grpc = (await import('@grpc/grpc-js')).default;
    const client = new grpc.Client(`${host}:443`, grpc.credentials.createSsl());
    const same = (bytes) => bytes;
    let text = '';
    for await (const answer of client.makeServerStreamRequest('/egress.Demo/Say', same, same, Buffer.from('demo'))) {
      text += `${answer}\n`;
    }
    return text;
  },
  openai: async () => {
    const OpenAI = (await import('openai')).default;
    const client = new OpenAI({ baseURL: `${url}v1`, apiKey: 'none', maxRetries: 0 });
    const question = { model, messages: [{ role: 'user', content: '?' }], stream: true };
    for await (const piece of await client.chat.completions.create(question)) arrived(piece.choices[0].delta.content);
    return '\n';
  },
  anthropic: async () => {
    const Anthropic = (await import('@anthropic-ai/sdk')).default;
    const client = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 });
    const question = { model, max_tokens: 9, messages: [{ role: 'user', content: '?' }] };
    for await (const event of client.messages.stream(question)) {
      if (event.type === 'content_block_delta') arrived(event.delta.text);
    }
    return '\n';
  },
};
try {
  process.stdout.write(await packages[name]());
  process.exit(0);
} catch (error) {
  console.error(error.cause ?? error);
  process.exit(1);
}
