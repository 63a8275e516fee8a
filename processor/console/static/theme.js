// Runs before anything is drawn, so that a page never flashes in the other theme.
"use strict";
(() => {
  const kept = localStorage.getItem("headrace-theme");
  if (kept) document.documentElement.dataset.theme = kept;
})();
