// The browser's half of the OPRF, for a test that plays the server: reads lines
// {"input"}, answers {"blind", "blinded"}; reads {"evaluated"}, answers {"output"}.
// All values are hexadecimal.
import { createInterface } from 'node:readline';
import { blind, finalize } from '../static/vendor/p256oprf.js';

const bytes = (text) => Uint8Array.from(Buffer.from(text, 'hex'));
const hex = (data) => Buffer.from(data).toString('hex');

let input, secret;
for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.input !== undefined) {
    input = bytes(message.input);
    const blinded = blind(input);
    secret = blinded.blind;
    console.log(JSON.stringify({ blind: hex(secret), blinded: hex(blinded.blinded) }));
  } else {
    console.log(JSON.stringify({ output: hex(finalize(input, secret, bytes(message.evaluated))) }));
  }
}
