// Building screens out of elements. Nothing here takes HTML as text, so there
// is nothing to inject into.

import { say } from './words.js';

/** @typedef {string | number | Node | null | undefined | false} Leaf */
/** @typedef {Leaf | (Leaf | Leaf[])[]} Child */

/**
 * An element: h('p.soft', {id: 'x'}, 'text', other). Attributes whose value is
 * false or undefined are left out, true stands bare, functions listen.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T | `${T}.${string}`} name tag with classes
 * @param {Record<string, string | number | boolean | undefined | ((event: any) => void)> | null} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(name, attributes, ...children) {
  const [tag, ...classes] = name.split('.');
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(' ');
  return /** @type {any} */ (dress(element, attributes ?? {}, children));
}

/**
 * The same for SVG.
 * @param {string} name
 * @param {Record<string, string | number | boolean | undefined>} attributes
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(name, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  return /** @type {SVGElement} */ (dress(element, attributes, children));
}

/**
 * @param {Element} element
 * @param {Record<string, any>} attributes
 * @param {Child[]} children
 */
function dress(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === undefined || value === null) continue;
    if (typeof value === 'function') element.addEventListener(key.replace(/^on/, ''), value);
    else element.setAttribute(key, value === true ? '' : String(value));
  }
  element.append(...flat(children));
  return element;
}

/**
 * @param {Child[]} children
 * @returns {(string | Node)[]}
 */
function flat(children) {
  return /** @type {Leaf[]} */ (children.flat(3)).flatMap((child) => {
    if (child === null || child === undefined || child === false) return [];
    return [typeof child === 'number' ? String(child) : child];
  });
}

/**
 * A symbol of static/icons.svg. It never stands without words.
 * @param {string} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const address = new URL('../icons.svg', import.meta.url);
  return svg('svg', { class: 'icon', 'aria-hidden': 'true', focusable: 'false' }, svg('use', { href: `${address.pathname}#${name}` }));
}

/**
 * @param {string} kind classes after "button": "", "quiet", "refuse", "cut", "plain"
 * @param {string} words
 * @param {(event: MouseEvent) => void} act
 * @param {string} [symbol] of static/icons.svg
 * @returns {HTMLButtonElement}
 */
export function button(kind, words, act, symbol) {
  return h('button', { class: `button ${kind}`.trim(), type: 'button', onclick: act }, symbol !== undefined && icon(symbol), words);
}

/**
 * A notice: a fact that stands above or beside the thing to do.
 * @param {'' | 'warn' | 'danger' | 'success'} kind
 * @param {string} symbol
 * @param {...Child} children paragraphs
 * @returns {HTMLElement}
 */
export function notice(kind, symbol, ...children) {
  return h('div', { class: `notice ${kind}`.trim() }, icon(symbol), h('div', null, ...children));
}

/**
 * The picture and the words of a screen that only says how something stands.
 * @param {'' | 'warn' | 'danger'} kind
 * @param {string} symbol
 * @param {string} title
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function outcome(kind, symbol, title, ...children) {
  return h('div.waiting', null, h('div', { class: `outcome ${kind}`.trim() }, icon(symbol)), h('h1', null, title), ...children);
}

/**
 * A labelled field with its hint and a place for what is wrong with it.
 * @param {object} field
 * @param {string} field.name
 * @param {string} field.label
 * @param {string} [field.hint]
 * @param {Record<string, string | number | boolean | undefined>} field.input attributes
 * @returns {{element: HTMLElement, input: HTMLInputElement, fault: (words: string) => void}}
 *   fault('') takes a fault away
 */
export function field({ name, label, hint, input: attributes }) {
  const faultWords = h('span');
  const fault = h('p.fault', { id: `${name}-fault`, hidden: true }, icon('alert'), faultWords);
  const input = h('input', {
    id: name, name, 'aria-describedby': `${hint !== undefined ? `${name}-hint ` : ''}${name}-fault`, ...attributes,
  });
  const element = h('div.field', null, h('label', { for: name }, label),
    hint !== undefined && h('p.hint', { id: `${name}-hint` }, hint), input, fault);
  return {
    element,
    input,
    fault(words) {
      faultWords.textContent = words;
      fault.hidden = words === '';
      if (words === '') input.removeAttribute('aria-invalid');
      else input.setAttribute('aria-invalid', 'true');
    },
  };
}

/**
 * Digits in two groups as they are typed or pasted: "482 913".
 * @param {HTMLInputElement} input
 * @param {number} most digits
 * @param {number} group how many stand together
 * @param {() => void} [changed]
 */
export function groupDigits(input, most, group, changed) {
  input.addEventListener('input', () => {
    const before = digitsOf(input.value.slice(0, input.selectionStart ?? input.value.length)).length;
    const digits = digitsOf(input.value).slice(0, most);
    input.value = grouped(digits, group);
    const at = Math.min(before, most);
    const caret = at + Math.floor(Math.max(0, at - 1) / group);
    input.setSelectionRange(caret, caret);
    changed?.();
  });
}

/**
 * @param {string} text
 * @returns {string} its digits alone
 */
export function digitsOf(text) {
  return text.replace(/\D/g, '');
}

/**
 * @param {string} digits
 * @param {number} group
 * @returns {string}
 */
export function grouped(digits, group) {
  return digits.replace(new RegExp(`(\\d{${group}})(?=\\d)`, 'g'), '$1 ');
}

/**
 * The four dots and the pad that ../pin.js makes alive.
 * @param {string} label the sentence that names the pad
 * @returns {{element: HTMLElement, label: HTMLElement}}
 */
export function keypad(label) {
  const sayings = [0, 1, 2, 3, 4].map((n) => say(`common.pin_${n}`)).join('|');
  const digit = (/** @type {number} */ n) => h('button', { type: 'button', 'data-digit': n }, n);
  const sentence = h('p', { id: 'pin-label' }, label);
  const element = h('div.pin', { 'data-pin': true }, sentence,
    h('div.pin-dots', { 'aria-hidden': 'true' }, h('span'), h('span'), h('span'), h('span')),
    h('p.unseen', { role: 'status', 'data-pin-said': sayings }),
    h('div.keypad', { role: 'group', 'aria-labelledby': 'pin-label' }, [1, 2, 3, 4, 5, 6, 7, 8, 9].map(digit),
      h('button.bare', { type: 'button', 'data-pin-clear': true }, say('common.pin_clear')), digit(0),
      h('button.bare', { type: 'button', 'data-pin-back': true }, icon('backspace'), h('span.unseen', null, say('common.pin_back')))));
  return { element, label: sentence };
}
