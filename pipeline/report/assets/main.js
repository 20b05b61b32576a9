// Puts the parts together once the data are read.
function copies() {
  document.querySelectorAll('.copy').forEach((button) => {
    button.disabled = false;
    button.addEventListener('click', async () => {
      const told = button.previousElementSibling.textContent;
      try {
        await navigator.clipboard.writeText(told);
        button.textContent = 'Copied';
      } catch {
        getSelection().selectAllChildren(button.previousElementSibling); // a page from disk may not reach the clipboard
        button.textContent = 'Selected';
      }
      setTimeout(() => { button.textContent = 'Copy'; }, 1600);
    });
  });
}

async function start() {
  document.body.append(tip);
  copies();
  const data = await readData();
  const filter = makeFilter(data);
  const map = makeMap(data, filter);
  const time = makeTimeline(data, filter);
  const durations = makeDurations(data, filter);
  makeTable(data, filter, (tile) => { map.pick(tile); document.getElementById('map-part').scrollIntoView(); });
  document.querySelectorAll('.show').forEach((button) => {
    button.disabled = false;
    button.addEventListener('click', () => { filter.onlyCause(button.dataset.cause); document.getElementById('map-part').scrollIntoView(); });
  });
  map.gather();
  map.fit();
  filter.apply();
  let waiting = 0;
  const again = () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => { map.draw(); time.draw(); durations.draw(); });
  };
  addEventListener('resize', again);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again);
  document.documentElement.dataset.ready = 'yes';
}

start().catch((error) => {
  document.documentElement.dataset.ready = 'no';
  document.querySelector('main').prepend(make('p', { className: 'reason' }, `Map, timeline and list of jobs cannot be shown (${error.message}); a browser of 2023 or later is needed. All else stands below.`));
});
