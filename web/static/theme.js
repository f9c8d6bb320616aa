// Switches light and dark without loading the page anew, so that what was
// typed stays. Without script the same links ask the server.
const year = 365 * 24 * 60 * 60;

document.addEventListener('click', (event) => {
  const link = event.target instanceof Element ? event.target.closest('[data-theme-choice]') : null;
  if (!(link instanceof HTMLElement)) return;
  event.preventDefault();
  const theme = link.dataset.themeChoice ?? 'system';
  const secure = location.protocol === 'https:' ? '; Secure' : '';
  const chosen = theme === 'light' || theme === 'dark';
  document.cookie = `vigie_theme=${chosen ? theme : ''}; Path=/; Max-Age=${chosen ? year : 0}; SameSite=Lax${secure}`;
  if (chosen) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  // The link that was clicked is gone; the focus goes to the one in its place.
  const other = document.querySelector(`[data-theme-choice="${theme === 'dark' ? 'light' : 'dark'}"]`);
  if (other instanceof HTMLElement) other.focus();
});
