// The PIN pad of templates/part_keypad.html. Digits live in this closure only:
// the document shows how many there are and says "second digit", never which.
// The pad takes touch, mouse and keyboard, and never shuffles.

const LENGTH = 4;

/**
 * @param {HTMLElement} element [data-pin], with .pin-dots, [data-pin-said] and .keypad inside
 * @param {(pin: string) => void} full called with the digits when the last one is in;
 *   the pad then takes no more until clear()
 * @returns {{clear: () => void, stop: () => void}} clear empties the pad and opens
 *   it again; stop takes the keyboard away from it for good
 */
export function pinPad(element, full) {
  let digits = '';
  const said = element.querySelector('[data-pin-said]');
  const sayings = (said instanceof HTMLElement ? said.dataset.pinSaid ?? '' : '').split('|');
  const dots = [...element.querySelectorAll('.pin-dots span')];

  function show() {
    dots.forEach((dot, i) => dot.classList.toggle('full', i < digits.length));
    if (said) said.textContent = sayings[digits.length] ?? '';
  }

  /** @param {string} digit */
  function add(digit) {
    if (digits.length >= LENGTH) return;
    digits += digit;
    show();
    if (digits.length === LENGTH) full(digits);
  }

  /** @param {string} rest */
  function shorten(rest) {
    if (digits.length === 0 || digits.length >= LENGTH) return;
    digits = rest;
    show();
  }

  /** @param {Event} event */
  function click(event) {
    const button = event.target instanceof Element ? event.target.closest('.keypad button') : null;
    if (!(button instanceof HTMLElement)) return;
    if (button.dataset.digit !== undefined) add(button.dataset.digit);
    else if ('pinBack' in button.dataset) shorten(digits.slice(0, -1));
    else if ('pinClear' in button.dataset) shorten('');
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    const typing = event.target instanceof Element && event.target.closest('input, textarea, select') !== null;
    if (typing || event.ctrlKey || event.altKey || event.metaKey || element.offsetParent === null) return;
    if (/^[0-9]$/.test(event.key)) add(event.key);
    else if (event.key === 'Backspace') shorten(digits.slice(0, -1));
    else return;
    event.preventDefault();
  }

  element.addEventListener('click', click);
  document.addEventListener('keydown', key);
  return {
    clear() {
      digits = '';
      dots.forEach((dot) => dot.classList.remove('full'));
      if (said) said.textContent = sayings[0] ?? '';
    },
    stop() {
      digits = '';
      element.removeEventListener('click', click);
      document.removeEventListener('keydown', key);
    },
  };
}
