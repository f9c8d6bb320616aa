// Turning notifications on, and what to do where that cannot be done.

import { show } from '../app.js';
import { button, h, notice, outcome } from '../dom.js';
import { isInstalled, isIOS } from '../platform.js';
import { refresh } from '../live.js';
import { standing, turnOn } from '../notifications.js';
import { say } from '../words.js';
import { wentWrong } from './parts.js';

/** @returns {Promise<boolean>} notifications could be on, and are not */
export async function needsNotifications() {
  const how = await standing();
  return how === 'off' || how === 'refused';
}

/**
 * Asks for notifications, and says what came of it.
 * @param {() => void} then what to show afterwards
 */
export async function askNotifications(then) {
  show({ title: say('app.notifications'), body: [h('section.card', null, h('h1', null, say('app.notifications')), h('p', null, say('app.notifications_asking')))] });
  let result;
  try {
    result = await turnOn();
  } catch (error) {
    return tell('failed', then, wentWrong(error));
  }
  await refresh();
  tell(result, then);
}

/**
 * @param {'on' | 'refused' | 'absent' | 'slow' | 'failed'} result
 * @param {() => void} then
 * @param {HTMLElement} [more]
 */
function tell(result, then, more) {
  // words: app.notif_*
  const good = result === 'on';
  show({
    title: say(`app.notif_${result}_title`),
    body: [h('section.card', null,
      outcome(good ? '' : 'warn', good ? 'bell' : 'bell-off', say(`app.notif_${result}_title`), h('p', null, say(`app.notif_${result}`))),
      result === 'refused' && howToAllow(),
      more ?? null,
      h('div.acts', null, button('', say('app.continue'), then),
        !good && result !== 'absent' && button('quiet', say('app.try_again'), () => void askNotifications(then))))],
  });
}

/** Where the system's own settings are. */
export function howToAllow() {
  const key = isIOS() ? 'ios' : /Android/.test(navigator.userAgent) ? 'android' : 'desktop';
  // words: app.allow_*
  return notice('', 'settings', h('p', null, say(key === 'android' && isInstalled() ? 'app.allow_android_app' : `app.allow_${key}`)));
}
