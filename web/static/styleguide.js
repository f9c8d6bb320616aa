// Brings the style guide's pad to life.
import { pinPad } from './pin.js';

for (const element of document.querySelectorAll('[data-pin]')) {
  if (!(element instanceof HTMLElement)) continue;
  const pad = pinPad(element, () => setTimeout(() => pad.clear(), 1000));
}
