// The program under test: `vigie demo`, and commands beside it.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const VIGIE = process.env.VIGIE ?? fileURLToPath(new URL('../../tmp/vigie', import.meta.url));

/** @typedef {{national_id: string, name: string, mobile: string, email: string}} Professional */
/** @typedef {{id: string, secret: string, name: string, url: string, redirect_uri: string}} Service */
/** @typedef {{channel: string, to: string, national_id: string, subject: string, text: string, code: string, at: string}} Letter */

/**
 * Has a child end when this process does, however that comes about.
 * @template {import('node:child_process').ChildProcess} T
 * @param {T} child
 * @returns {T}
 */
export function endsWithUs(child) {
  const end = () => child.kill();
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
  return child;
}
// The test runner ends a file that takes too long by a signal, which by itself
// would leave the children behind.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

/** Starts a demo on free ports and a folder of its own. */
export async function startDemo() {
  const top = await mkdtemp(join(tmpdir(), 'vigie-demo-'));
  const data = join(top, 'data');
  const child = endsWithUs(spawn(VIGIE, ['demo', '--listen', '127.0.0.1:0', '--data', data, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] }));
  let complaints = '';
  child.stderr.on('data', (text) => (complaints = (complaints + text).slice(-4000)));
  const ended = once(child, 'exit');
  const first = once(createInterface({ input: child.stdout }), 'line').then(([line]) => line);
  const line = await Promise.race([first, ended.then(() => undefined)]);
  if (line === undefined) throw new Error(`the demo did not start: ${complaints}`);
  /** @type {{base: string, issuer: string, phone: string, mailbox: string, mailbox_json: string, database: string, services: Service[], professionals: Professional[]}} */
  const told = JSON.parse(line);
  const demo = {
    ...told,
    data,
    /** What the demo logged last, for a failure's message. */
    complaints: () => complaints,
    /** @param {string} nationalId @returns {Promise<Letter[]>} oldest first */
    async letters(nationalId) {
      const list = await (await fetch(told.mailbox_json)).json();
      return list.filter((/** @type {Letter} */ letter) => letter.national_id === nationalId);
    },
    /** The two activation codes, once both have arrived. @param {string} nationalId */
    async codes(nationalId) {
      for (const until = Date.now() + 20_000; Date.now() < until; await pause(200)) {
        const letters = (await demo.letters(nationalId)).filter(({ code }) => code !== '');
        const sms = letters.findLast(({ channel }) => channel === 'sms')?.code;
        const email = letters.findLast(({ channel }) => channel === 'email')?.code;
        if (sms && email) return { sms, email };
      }
      throw new Error(`no codes for ${nationalId} arrived: ${complaints}`);
    },
    async stop() {
      child.kill('SIGTERM');
      await ended;
      await rm(top, { recursive: true, force: true });
    },
  };
  return demo;
}

/** @typedef {Awaited<ReturnType<typeof startDemo>>} Demo */

/**
 * A phone in the terminal, activated, for tests that are about something else.
 * @param {Demo} demo
 * @param {Professional} holder
 * @param {string} pin
 */
export async function terminalPhone(demo, { national_id, mobile, email }, pin) {
  const store = join(dirname(demo.data), `phone-${national_id}.json`);
  await vigie('phone', 'ask', '--server', demo.base, '--national-id', national_id, '--mobile', mobile, '--email', email);
  const codes = await demo.codes(national_id);
  await vigie('phone', 'activate', '--server', demo.base, '--national-id', national_id, '--sms', codes.sms, '--email', codes.email, '--pin', pin, '--store', store);
  return {
    /** @param {string} code of the screen @param {'mine' | 'shared' | 'no'} [keep] */
    approve: (code, keep = 'no') => vigie('phone', 'approve', '--store', store, '--code', code, '--pin', pin, '--keep', keep),
  };
}

/**
 * Runs a command of the program and returns the JSON it prints.
 * @param {...string} args
 */
export async function vigie(...args) {
  const { stdout } = await promisify(execFile)(VIGIE, args);
  return JSON.parse(stdout);
}

/** @param {number} ms */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Waits until something holds.
 * @template T
 * @param {string} what that is waited for
 * @param {() => Promise<T> | T} look a truthy answer ends the wait
 * @param {number} [patience] ms
 * @returns {Promise<T>}
 */
export async function until(what, look, patience = 15_000) {
  for (const end = Date.now() + patience; Date.now() < end; await pause(100)) {
    const seen = await look();
    if (seen) return seen;
  }
  throw new Error(`waited in vain: ${what}`);
}
