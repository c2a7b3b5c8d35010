// Runs before the first paint, so that a page never flashes in the other theme. Not a module, for that reason.
(function () {
  let theme = null;
  try { theme = localStorage.getItem("tidegate.theme"); } catch (_) { /* storage may be forbidden */ }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
