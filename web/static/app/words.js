// The texts of the app in the language that its holder chose. In a text,
// {name} stands for a value, **…** is emphasis, and "one|many" are the two
// forms that count chooses from (the rules of web/words.go).

import { keep, kept } from './store.js';

/** @typedef {'fr' | 'en'} Language */

/** @type {Language} */
export let language = 'fr';

/** @type {Record<string, string>} */
let texts = {};

/**
 * Reads the texts in the language chosen before, else in the device's.
 * @returns {Promise<void>}
 */
export async function loadWords() {
  const chosen = await kept('language').catch(() => undefined);
  await speak(chosen === 'fr' || chosen === 'en' ? chosen : deviceLanguage());
}

/** @returns {Language} the first of ours among the device's languages, else French */
function deviceLanguage() {
  for (const tag of navigator.languages) {
    const primary = tag.toLowerCase().split('-')[0];
    if (primary === 'fr' || primary === 'en') return primary;
  }
  return 'fr';
}

/**
 * Changes the language, and remembers it for the notifications and the server.
 * @param {Language} chosen
 * @returns {Promise<void>}
 */
export async function chooseLanguage(chosen) {
  await keep('language', chosen);
  const secure = location.protocol === 'https:' ? '; Secure' : '';
  document.cookie = `vigie_lang=${chosen}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  await speak(chosen);
}

/** @param {Language} chosen */
async function speak(chosen) {
  const areas = await Promise.all(['common', 'app'].map(async (area) => {
    const response = await fetch(new URL(`../words/${area}.${chosen}.json`, import.meta.url));
    if (!response.ok) throw new Error(`words of ${area} in ${chosen}: ${response.status}`);
    return response.json();
  }));
  texts = Object.assign({}, ...areas);
  language = chosen;
  document.documentElement.lang = chosen;
}

/**
 * @param {string} key
 * @param {Record<string, string | number>} [values] for every {name} of the text
 * @returns {string}
 */
export function say(key, values = {}) {
  return fill(key, textOf(key), values);
}

/**
 * say for a text "one|many" that holds {n}. French counts zero as one.
 * @param {string} key
 * @param {number} n
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function count(key, n, values = {}) {
  const [one, many] = textOf(key).split('|');
  const form = n === 1 || (n === 0 && language === 'fr') ? one : many;
  return fill(key, form, { n, ...values });
}

/**
 * say with its emphasis as elements. Values are never read for emphasis.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {(string | HTMLElement)[]}
 */
export function rich(key, values = {}) {
  return textOf(key).split(/\*\*(.+?)\*\*/).map((part, i) => {
    const said = fill(key, part, values);
    if (i % 2 === 0) return said;
    const strong = document.createElement('strong');
    strong.textContent = said;
    return strong;
  });
}

/** @param {string} key */
function textOf(key) {
  const text = texts[key];
  if (text === undefined) throw new Error(`no words for ${key}`);
  return text;
}

/**
 * @param {string} key
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
function fill(key, text, values) {
  return text.replace(/\{([a-z_]+)\}/g, (place, name) => {
    if (values[name] === undefined) throw new Error(`words ${key}: no value for ${place}`);
    return String(values[name]);
  });
}

/**
 * How long ago something happened, in the largest whole unit.
 * @param {number} milliseconds
 * @returns {string}
 */
export function ago(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 5) return say('common.ago_now');
  if (seconds < 60) return count('common.ago_seconds', seconds);
  if (seconds < 3600) return count('common.ago_minutes', Math.floor(seconds / 60));
  if (seconds < 86400) return count('common.ago_hours', Math.floor(seconds / 3600));
  return count('common.ago_days', Math.floor(seconds / 86400));
}

/**
 * @param {number} at Unix milliseconds
 * @returns {string} "10:32"
 */
export function clock(at) {
  return new Date(at).toLocaleTimeString(language === 'fr' ? 'fr-FR' : 'en-GB', { hour: '2-digit', minute: '2-digit' });
}

/**
 * A moment in words: "à 10:32", "le 3 mars à 10:32".
 * @param {number} at Unix milliseconds
 * @param {number} now Unix milliseconds
 * @returns {string}
 */
export function moment(at, now) {
  const time = clock(at);
  if (new Date(at).toDateString() === new Date(now).toDateString()) return say('app.at_time', { time });
  return say('app.at_day', { day: day(at), time });
}

/**
 * @param {number} at Unix milliseconds
 * @returns {string} "3 mars 2029"
 */
export function day(at) {
  return new Date(at).toLocaleDateString(language === 'fr' ? 'fr-FR' : 'en-GB', { day: 'numeric', month: 'long', year: 'numeric' });
}
