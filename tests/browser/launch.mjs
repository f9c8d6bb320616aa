// Starts Debian's browsers for tests: headless, as root, without the internet.
// A folder of the caller's own keeps nothing between runs.
import { createServer } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { WebSocketServer } from 'ws';

export const CHROMIUM = process.env.VIGIE_CHROMIUM ?? '/usr/bin/chromium';
export const FIREFOX = process.env.VIGIE_FIREFOX ?? '/usr/bin/firefox-esr';

export const chromiumFlags = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * Chromium with playwright. Contexts of one browser share nothing, so "two
 * devices" are two contexts.
 * @param {{flags?: string[], headless?: boolean}} [options]
 */
export function launchChromium({ flags = [], headless = true } = {}) {
  // Headless goes by flag: playwright's own would ask for its headless shell.
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: false,
    args: [...(headless ? ['--headless=new'] : []), ...chromiumFlags, ...flags],
  });
}

/**
 * Chromium with a profile, where a service worker must outlive its page.
 * @param {{flags?: string[], headless?: boolean, context?: object}} [options]
 * @returns {Promise<{context: import('playwright-core').BrowserContext, close: () => Promise<void>}>}
 */
export async function launchChromiumProfile({ flags = [], headless = true, context = {} } = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'vigie-chromium-'));
  const opened = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: false,
    args: [...(headless ? ['--headless=new'] : []), ...chromiumFlags, ...flags],
    ...context,
  });
  return {
    context: opened,
    async close() {
      await opened.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** Flags that show a film (Y4M) to the camera. @param {string} file */
export function cameraFlags(file) {
  return ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${file}`];
}

/**
 * Firefox ESR with puppeteer, subscribing at the given push service. It shows
 * notifications only on a desktop (desktop.mjs), whose env it takes.
 * @param {{pushServer?: string, preferences?: Record<string, unknown>, env?: Record<string, string>}} [options] pushServer: "ws://127.0.0.1:PORT/"
 */
export function launchFirefox({ pushServer, preferences = {}, env = {} } = {}) {
  return puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    env: { ...process.env, ...env },
    extraPrefsFirefox: {
      'permissions.default.desktop-notification': 1,
      'dom.push.testing.ignorePermission': true,
      'dom.serviceWorkers.testing.enabled': true,
      ...(pushServer === undefined ? {} : {
        'dom.push.serverURL': pushServer,
        'dom.push.testing.allowInsecureServerURL': true,
        'dom.push.connection.enabled': true,
      }),
      ...preferences,
    },
  });
}

/**
 * The push service that Firefox talks to (Mozilla autopush, the part that is
 * needed): hello, register, ping; a POST on an endpoint becomes a notification.
 */
export async function startPushService() {
  /** @type {Map<string, import('ws').WebSocket>} */
  const channels = new Map();
  /** @type {string[]} */
  const endpoints = [];
  /** @type {string[]} */
  const keys = [];
  /** @type {{endpoint: string, headers: import('node:http').IncomingHttpHeaders, body: Buffer}[]} */
  const received = [];
  let versions = 0;

  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const channelID = (request.url ?? '').replace('/push/', '');
    const socket = channels.get(channelID);
    if (request.method !== 'POST' || socket === undefined) {
      response.writeHead(410).end();
      return;
    }
    received.push({ endpoint: request.url ?? '', headers: request.headers, body });
    socket.send(JSON.stringify({
      messageType: 'notification',
      channelID,
      version: `v${++versions}`,
      ...(body.length === 0 ? {} : {
        data: body.toString('base64url'),
        headers: { encoding: request.headers['content-encoding'] },
      }),
    }));
    response.writeHead(201, { location: `/message/${versions}` }).end();
  });
  const sockets = new WebSocketServer({ server });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the push service has no port');

  sockets.on('connection', (socket) => {
    socket.on('message', (data) => {
      const message = JSON.parse(String(data));
      switch (message.messageType) {
        case 'hello':
          socket.send(JSON.stringify({ messageType: 'hello', status: 200, uaid: 'f'.repeat(32), use_webpush: true }));
          break;
        case 'register': {
          const endpoint = `http://127.0.0.1:${address.port}/push/${message.channelID}`;
          channels.set(message.channelID, socket);
          endpoints.push(endpoint);
          keys.push(message.key);
          socket.send(JSON.stringify({ messageType: 'register', status: 200, channelID: message.channelID, pushEndpoint: endpoint }));
          break;
        }
        case 'unregister':
          channels.delete(message.channelID);
          socket.send(JSON.stringify({ messageType: 'unregister', status: 200, channelID: message.channelID }));
          break;
        case 'ping':
          socket.send('{}');
          break;
        default: // ack, broadcast_subscribe: nothing to answer
      }
    });
  });

  return {
    url: `ws://127.0.0.1:${address.port}/`,
    endpoints,
    /** VAPID keys that were subscribed with, as endpoints, in base64url. */
    keys,
    /** What was pushed. */
    received,
    /** Every endpoint is gone from now on. */
    forget: () => channels.clear(),
    async close() {
      for (const socket of sockets.clients) socket.terminate();
      await new Promise((resolve) => server.close(() => resolve(undefined)));
    },
  };
}
