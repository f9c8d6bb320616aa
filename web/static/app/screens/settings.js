// Settings: what rings, what this phone keeps, how the app looks and speaks.

import { announce, go, redraw, show, state } from '../app.js';
import { button, h, icon, notice, outcome } from '../dom.js';
import { refresh } from '../live.js';
import { silence, sleep, test } from '../phone.js';
import { askPersistence, isStoragePersistent } from '../platform.js';
import { standing, turnOff } from '../notifications.js';
import { chooseLanguage, day, language, say } from '../words.js';
import { busy, way, wentWrong, whenChanged } from './parts.js';
import { changePinScreens } from './choose-pin.js';
import { askNotifications, howToAllow } from './notifications.js';

export function settings() {
  const trouble = h('div', { role: 'alert' });
  const rings = h('div.stack', null, h('div.skeleton'));
  const storage = h('div.stack', null, h('div.skeleton'));

  /** @param {unknown} error */
  const failed = (error) => trouble.replaceChildren(wentWrong(error));

  async function draw() {
    rings.replaceChildren(...ringRows(await standing()));
    storage.replaceChildren(...storageRows(await isStoragePersistent()));
  }

  /** @param {import('../notifications.js').Standing} how */
  function ringRows(how) {
    // words: app.notif_is_*
    const off = button('quiet', say('app.notifications_off'), () => void busy(off, turnOff().then(draw)).catch(failed), 'bell-off');
    const tryOne = button('quiet', say('app.notifications_test'), () => void busy(tryOne, test()).then(() => announceTest(trouble), failed), 'bell');
    const silent = h('input', { type: 'checkbox', role: 'switch', ...(state.me?.silent === true ? { checked: true } : {}), onchange: () => {
      silence(silent.checked).then(refresh).then(() => announce(say(silent.checked ? 'app.blocked_title' : 'app.silent_off')), (error) => {
        silent.checked = !silent.checked;
        failed(error);
      });
    } });
    return [
      h('p', null, say(`app.notif_is_${how}`)),
      how === 'refused' ? howToAllow() : h('span', { hidden: true }),
      h('div.acts', null,
        how === 'off' && button('', say('app.notifications_on'), () => void askNotifications(() => settings()), 'bell'),
        how === 'on' && tryOne, how === 'on' && off),
      h('label.option', null, silent, h('span', null, h('strong', null, say('app.silence')), h('br'), h('span.soft.small', null, say('app.silence_what')))),
    ];
  }

  /** @param {boolean} persistent */
  function storageRows(persistent) {
    if (persistent) return [h('p', null, say('app.storage_safe'))];
    const ask = button('quiet', say('app.storage_ask'), () => void busy(ask, askPersistence()).then((granted) => {
      if (granted) return draw();
      trouble.replaceChildren(notice('warn', 'info', h('p', null, say('app.storage_refused'))));
    }), 'safe');
    return [h('p', null, say('app.storage_unsafe')), h('div.acts', null, ask)];
  }

  const drawAgain = whenChanged(() => [state.me?.silent, state.me?.subscription], () => void draw().catch(failed));
  drawAgain();
  show({
    title: say('app.settings'),
    update: drawAgain,
    body: [
      h('h1', null, say('app.settings')),
      trouble,
      h('section.card', null, h('h2', null, say('app.notifications')), rings),
      h('section.card', null, h('h2', null, say('app.display')), languages(), themes()),
      h('section.card', null, h('h2', null, say('app.this_phone')),
        h('dl.facts', null,
          h('dt', null, say('app.holder')), h('dd', null, state.phone?.name ?? ''),
          h('dt', null, say('app.valid_until')), h('dd', null, day(state.phone?.ends ?? 0))),
        storage,
        h('div.acts', null,
          button('quiet', say('app.pin_change'), () => changePinScreens(), 'key'),
          button('quiet', say('app.sleep'), () => askSleep(), 'moon')),
        h('p.soft.small', null, say('app.forgot_pin'))),
      h('ul.choices', null, way('#/about', 'info', say('app.about'))),
    ],
  });
}

/** @param {HTMLElement} place */
function announceTest(place) {
  place.replaceChildren(notice('success', 'bell', h('p', null, say('app.test_sent')), h('p', null, say('app.test_nothing'))));
}

function languages() {
  const option = (/** @type {'fr' | 'en'} */ lang, /** @type {string} */ name) => h('label.option', { lang },
    h('input', { type: 'radio', name: 'language', value: lang, checked: language === lang, onchange: () => void chooseLanguage(lang).then(redraw) }), name);
  return h('fieldset', null, h('legend', null, say('app.language')), option('fr', 'Français'), option('en', 'English'));
}

function themes() {
  const chosen = document.documentElement.dataset.theme ?? 'system';
  // words: app.theme_*
  const option = (/** @type {'system' | 'light' | 'dark'} */ theme, /** @type {string} */ symbol) => h('label.option', null,
    h('input', { type: 'radio', name: 'theme', value: theme, checked: chosen === theme, onchange: () => chooseTheme(theme) }), icon(symbol), say(`app.theme_${theme}`));
  return h('fieldset', null, h('legend', null, say('app.theme')), option('system', 'phone'), option('light', 'sun'), option('dark', 'moon'));
}

/** @param {'system' | 'light' | 'dark'} theme */
function chooseTheme(theme) {
  const secure = location.protocol === 'https:' ? '; Secure' : '';
  const keeps = theme !== 'system';
  document.cookie = `vigie_theme=${keeps ? theme : ''}; Path=/; Max-Age=${keeps ? 31_536_000 : 0}; SameSite=Lax${secure}`;
  if (keeps) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

function askSleep() {
  const trouble = h('div', { role: 'alert' });
  const yes = button('refuse', say('app.sleep'), () => void busy(yes, sleep().then(refresh)).catch((error) => trouble.replaceChildren(wentWrong(error))), 'moon');
  show({
    title: say('app.sleep_title'),
    body: [h('section.card', null,
      outcome('warn', 'moon', say('app.sleep_title'), h('p', null, say('app.sleep_what'))), trouble,
      h('div.acts', null, yes, button('quiet', say('app.back'), () => go('settings'))))],
  });
}
