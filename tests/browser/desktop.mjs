// A desktop without a screen, for browsers with windows: an X server, a D-Bus
// session, and on it a notification service whose buttons a test can press as
// trusted input. It also shows what a lock screen would show.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { endsWithUs, until } from './demo.mjs';

/**
 * @typedef {object} Shown
 * @property {number} id
 * @property {number} replaces id of the one it stands in for, 0 for none
 * @property {string} summary
 * @property {string} body
 * @property {{key: string, label: string}[]} actions
 */

export async function startDesktop() {
  /** @type {import('node:child_process').ChildProcess[]} */
  const children = [];

  /**
   * @param {string} command
   * @param {string[]} args
   * @param {Record<string, string>} [env]
   */
  async function start(command, args, env = {}) {
    const child = endsWithUs(spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } }));
    children.push(child);
    let complaints = '';
    child.stderr.on('data', (text) => (complaints += text));
    const lines = createInterface({ input: child.stdout });
    const failed = once(child, 'exit').then(() => { throw new Error(`${command} ended: ${complaints}`); });
    failed.catch(() => {});
    const [line] = await Promise.race([once(lines, 'line'), failed]);
    return { child, lines, line: String(line) };
  }

  async function close() {
    for (const child of children.reverse()) {
      if (child.exitCode !== null) continue;
      child.kill();
      await once(child, 'exit');
    }
  }

  try {
    const display = await start('Xvfb', ['-displayfd', '1', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp']);
    const bus = await start('dbus-daemon', ['--session', '--nofork', '--nopidfile', '--print-address=1']);
    const env = { DISPLAY: `:${display.line}`, DBUS_SESSION_BUS_ADDRESS: bus.line };
    const notifier = await start('/usr/bin/python3', [fileURLToPath(new URL('notifications.py', import.meta.url))], env);
    /** @type {Shown[]} */
    const shown = [];
    /** @type {number[]} */
    const closed = [];
    notifier.lines.on('line', (line) => {
      const event = JSON.parse(line);
      if (event.closed !== undefined) closed.push(event.closed);
      else shown.push(event);
    });
    return {
      env,
      shown,
      closed,
      /** The newest notification that holds, once there is one. @param {(shown: Shown) => boolean} holds */
      find: (holds) => until('a notification on the desktop', () => shown.findLast(holds)),
      /** Presses a button of a notification. @param {Shown} notification @param {string} label as it is written */
      press(notification, label) {
        const action = notification.actions.find((button) => button.label === label);
        if (action === undefined) throw new Error(`no button ${label} in ${JSON.stringify(notification)}`);
        notifier.child.stdin?.write(`${JSON.stringify({ id: notification.id, action: action.key })}\n`);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
