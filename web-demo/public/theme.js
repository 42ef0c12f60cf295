// Runs before the first paint, so that a chosen theme never flashes: src/theme.js does the rest.
try {
  var chosen = localStorage.getItem('sheaf-theme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen
} catch (error) {
  /* storage refused: the system's theme it is */
}
