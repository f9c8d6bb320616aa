// Keeps every [data-countdown] of templates/part_countdown.html going: the ring
// once a second (every five for people who asked for no motion), and words at
// the start, at 20 s and at 5 s, not each second (WCAG 2.2.1).

const still = matchMedia('(prefers-reduced-motion: reduce)');

/**
 * Starts, or starts anew, one countdown.
 * @param {HTMLElement} element has data-left and data-whole, in seconds
 * @param {() => void} [over] called once, when nothing is left
 * @returns {() => void} stops it
 */
export function startCountdown(element, over) {
  const whole = Number(element.dataset.whole);
  const until = performance.now() + Number(element.dataset.left) * 1000;
  const toSay = [Infinity, 20, 5];
  let ended = false;

  function tick() {
    const left = Math.max(0, Math.ceil((until - performance.now()) / 1000));
    if (!still.matches || left % 5 === 0 || left < 5) draw(element, left, whole);
    if (toSay.length > 0 && left <= toSay[0]) {
      while (toSay.length > 0 && left <= toSay[0]) toSay.shift();
      say(element, left);
    }
    if (left === 0 && !ended) {
      ended = true;
      clearInterval(timer);
      over?.();
    }
  }
  const timer = setInterval(tick, 250);
  tick();
  return () => clearInterval(timer);
}

/**
 * @param {HTMLElement} element
 * @param {number} left
 * @param {number} whole
 */
function draw(element, left, whole) {
  const ring = element.querySelector('.ring');
  ring?.classList.toggle('short', left <= 20);
  ring?.setAttribute('aria-label', words(element, left));
  ring?.querySelector('.ring-left')?.setAttribute('stroke-dasharray', `${whole > 0 ? (left / whole) * 100 : 0} 100`);
  const text = ring?.querySelector('text');
  if (text) text.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
}

/**
 * @param {HTMLElement} element
 * @param {number} left
 */
function say(element, left) {
  const status = element.querySelector('[role="status"]');
  if (status) status.textContent = words(element, left);
}

/**
 * @param {HTMLElement} element
 * @param {number} left
 */
function words(element, left) {
  const [one, many] = (element.dataset.words ?? '').split('|');
  const isOne = left === 1 || (left === 0 && document.documentElement.lang === 'fr');
  return (isOne ? one : many ?? '').replace('{n}', String(left));
}

for (const element of document.querySelectorAll('[data-countdown]')) {
  if (element instanceof HTMLElement) startCountdown(element);
}
