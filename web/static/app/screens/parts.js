// Small things that several screens share.

import { now, state } from '../app.js';
import { h, icon, notice } from '../dom.js';
import { Refused, Unreachable } from '../protocol.js';
import { shown } from '../requests.js';
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
      return say('app.refused_by_server');
  }
}

/**
 * Who asks, at the head of a screen: logo and name.
 * @param {import('../requests.js').Request} request
 * @returns {HTMLElement}
 */
export function serviceHead(request) {
  const { service } = shown(request);
  return h('div.service', null, logo(request.service, service), h('p.service-name', null, service));
}

/**
 * The first letters of a service's name, until its logo is there, if it has one.
 * @param {string} service
 * @param {string} name
 * @returns {HTMLElement}
 */
export function logo(service, name) {
  const letters = name.split(/[\s-]+/).filter((word) => word !== '').slice(0, 2).map((word) => word[0].toUpperCase()).join('');
  const place = h('span.initials', { 'aria-hidden': 'true' }, letters);
  const image = h('img', { src: `/logos/${encodeURIComponent(service)}`, alt: '', width: 56, height: 56, onload: () => place.replaceWith(image) });
  return place;
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

/**
 * Draws only when what it is drawn from has changed, so that nothing flickers
 * and no focus is lost.
 * @param {() => unknown} what
 * @param {() => void} draw
 * @returns {() => void}
 */
export function whenChanged(what, draw) {
  let before = '';
  return () => {
    const is = JSON.stringify(what());
    if (is === before) return;
    before = is;
    draw();
  };
}
