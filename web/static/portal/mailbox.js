// Shows new letters by themselves.
const shown = document.querySelector('[data-letters]');
const count = shown instanceof HTMLElement ? Number(shown.dataset.letters) : 0;

setInterval(async () => {
  const letters = await fetch('/mailbox.json').then((response) => response.json()).catch(() => null);
  if (Array.isArray(letters) && letters.length !== count) location.reload();
}, 1500);
