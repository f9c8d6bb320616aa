// Starts the app: reads what is kept, and draws the screen of the address.

import { finishLostActivation } from './activation.js';
import { address, go, onRoute, redraw, state } from './app.js';
import { goLive, refresh } from './live.js';
import { mend, registerWorker } from './notifications.js';
import { missing, mustInstall, watchInstallation } from './platform.js';
import { keptDraft, keptPhone } from './store.js';
import { loadWords } from './words.js';
import { about } from './screens/about.js';
import { askCodes, typeCodes } from './screens/activate.js';
import { home } from './screens/home.js';
import { installFirst, welcome } from './screens/install.js';
import { request } from './screens/request.js';
import { settings } from './screens/settings.js';
import { cannotRun, trouble } from './screens/trouble.js';

function route() {
  const [first, second] = address();
  if (first === 'about') return about();
  if (state.phone === undefined) {
    if (mustInstall()) return installFirst();
    if (first === 'activate') return askCodes();
    if (first === 'codes' || (first === undefined && (state.draft?.nationalId ?? '') !== '')) return typeCodes();
    return welcome();
  }
  const inTheWay = trouble();
  if (inTheWay !== undefined) {
    history.replaceState(null, '', '#/'); // where to begin once it is out of the way
    return inTheWay();
  }
  if (first === 'settings') return settings();
  if (first === 'request' && second !== undefined) return request(decodeURIComponent(second));
  return home();
}

async function start() {
  useTheme();
  await loadWords();
  const reason = missing();
  if (reason !== '') return cannotRun(reason);
  watchInstallation(() => state.phone === undefined && redraw());
  [state.phone, state.draft] = await Promise.all([keptPhone(), keptDraft()]);
  await finishLostActivation();
  onRoute(route);
  redraw();
  navigator.serviceWorker.addEventListener('message', (event) => {
    if (typeof event.data?.go === 'string') go(event.data.go);
  });
  if (state.phone !== undefined) goLive();
  keepFresh(await registerWorker());
  await refresh();
  await mend();
}

const HOUR = 3_600_000;

/**
 * An app on the home screen may never be loaded anew. When it comes back into
 * sight it looks for a newer version, and takes it where nothing is under way.
 * @param {ServiceWorkerRegistration} registration
 */
function keepFresh(registration) {
  let looked = Date.now();
  let outdated = false;
  const had = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener('controllerchange', () => (outdated = had));
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    if (outdated && state.phone !== undefined && address().length === 0) return location.reload();
    if (Date.now() - looked < HOUR) return;
    looked = Date.now();
    registration.update().catch(() => {}); // no network: next time
  });
}

// Offline the page is the kept one, which may be older than the choice.
function useTheme() {
  const theme = /(?:^|; )vigie_theme=(light|dark)/.exec(document.cookie)?.[1];
  if (theme !== undefined) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

await start();
