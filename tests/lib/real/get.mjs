// Prints what a URL answers, by Node's own clients: get.mjs fetch|https URL
import https from 'node:https';

const [way, url] = process.argv.slice(2);
const ways = {
  fetch: async () => (await fetch(url)).text(),
  https: () =>
    new Promise((resolve, reject) => {
      https
        .get(url, async (answer) => {
          let text = '';
          for await (const piece of answer) text += piece;
          resolve(text);
        })
        .on('error', reject);
    }),
};
try {
  process.stdout.write(await ways[way]());
} catch (error) {
  console.error(error.cause ?? error);
  process.exit(1);
}
