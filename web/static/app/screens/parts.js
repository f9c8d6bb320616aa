// Small things that several screens share.

import { now, state } from '../app.js';
import { h, icon, notice } from '../dom.js';
import { Refused, Unreachable } from '../protocol.js';
import { clock, rich, say } from '../words.js';

/**
 * Keeps a button from being pressed twice while something is under way, and
 * says so when it takes longer than one notices.
 * @template T
 * @param {HTMLButtonElement} button
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
export function busy(button, work) {
  const words = [...button.childNodes];
  button.setAttribute('aria-disabled', 'true');
  const timer = setTimeout(() => button.replaceChildren(say('app.moment')), 300);
  return work.finally(() => {
    clearTimeout(timer);
    button.replaceChildren(...words);
    button.removeAttribute('aria-disabled');
  });
}

/**
 * What to say when something did not work and no screen has words of its own.
 * @param {unknown} error
 * @returns {HTMLElement}
 */
export function wentWrong(error) {
  if (error instanceof Unreachable) {
    return notice('warn', 'offline', h('p', null, h('strong', null, say('app.offline'))), h('p', null, say('app.offline_retry')));
  }
  if (error instanceof Refused) return notice('danger', 'alert', h('p', null, whyRefused(error)));
  console.error(error);
  return notice('danger', 'alert', h('p', null, say('app.broken')));
}

/** @param {Refused} error */
function whyRefused({ code, answer }) {
  switch (code) {
    case 'busy':
      return say('app.codes_busy', { until: clock(Number(answer.until ?? now())) });
    case 'too_many_phones':
      return say('app.too_many_phones');
    case 'ticket':
    case 'epoch':
      return say('app.ticket_over');
    default:
      return typeof answer.message === 'string' && answer.message !== '' ? answer.message : say('app.refused_by_server');
  }
}

/**
 * Who asks: logo, or the first letters, and the name.
 * @param {string} name
 * @param {string} [logo] address
 * @returns {HTMLElement}
 */
export function serviceHead(name, logo) {
  const picture = logo === undefined
    ? h('span.initials', { 'aria-hidden': 'true' }, initials(name))
    : h('img', { src: logo, alt: '', width: 56, height: 56 });
  return h('div.service', null, picture, h('p.service-name', null, name));
}

/** @param {string} name */
export function initials(name) {
  return name.split(/[\s-]+/).filter((word) => word !== '').slice(0, 2).map((word) => word[0].toUpperCase()).join('');
}

/**
 * "Firefox sous Windows, CHU de Rennes": as much of it as is known.
 * @param {{agent: string, system: string, place: string}} shown
 * @returns {string}
 */
export function from({ agent, system, place }) {
  const browser = agent !== '' && system !== '' ? say('app.agent_system', { agent, system }) : agent || system || say('app.agent_unknown');
  return say('app.from', { browser, place: place || say('app.place_unknown') });
}

/**
 * What stands above everything else while it lasts.
 * @returns {HTMLElement[]}
 */
export function standingNotices() {
  const list = [];
  if (state.offline) {
    list.push(notice('warn', 'offline', h('p', null, h('strong', null, say('app.offline'))), h('p', null, say('app.offline_what'))));
  }
  const minutes = Math.round(state.ahead / 60_000);
  if (Math.abs(minutes) >= 5) {
    list.push(notice('warn', 'clock', h('p', null, h('strong', null, say('app.clock_title'))), h('p', null, say('app.clock_what', { n: Math.abs(minutes) }))));
  }
  return list;
}

/**
 * A line of settings: words that lead somewhere.
 * @param {string} href
 * @param {string} symbol
 * @param {string} words
 * @param {string} [more]
 * @returns {HTMLElement}
 */
export function way(href, symbol, words, more) {
  return h('li', null, h('a.choice', { href }, icon(symbol),
    h('span', null, h('span.choice-name', null, words), more !== undefined && h('span.choice-more', null, more)), icon('chevron')));
}

/**
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {HTMLElement} a paragraph with its emphasis
 */
export function said(key, values) {
  return h('p', null, rich(key, values));
}
