// What is shown: a mask over all rows, and who is told when it changes.
function makeFilter(data) {
  const chosen = { states: new Set(), product: '', region: '', period: '', cause: '', flag: '', text: '' };
  const mask = new Uint8Array(data.count).fill(1);
  const listeners = [];
  let shown = data.count;

  function named(text) {
    const wanted = text.toLowerCase();
    const fits = (words) => words.map((word) => word.toLowerCase().includes(wanted));
    return [fits(data.products), fits(data.tiles), fits(data.periods), wanted];
  }

  function apply() {
    const { states, product, region, period, cause, flag, text } = chosen;
    const [products, tiles, periods, whole] = text ? named(text) : [];
    const bit = flag.startsWith('bit') ? 1 << Number(flag.slice(3)) : 0;
    shown = 0;
    for (let row = 0; row < data.count; row += 1) {
      let fits = (!states.size || states.has(data.state[row]))
        && (product === '' || data.product[row] === +product) && (region === '' || data.region[row] === +region)
        && (period === '' || data.period[row] === +period) && (cause === '' || data.cause[row] === +cause);
      if (fits && flag) {
        fits = bit ? (data.flags[row] & bit) !== 0 : flag === 'lost' ? data.losses[row] > 0
          : flag === 'again' ? data.attempts[row] > 1 : data.verdict[row] === +flag;
      }
      if (fits && text) {
        fits = tiles[data.tile[row]] || products[data.product[row]] || periods[data.period[row]]
          || (whole.includes('/') && jobName(data, row).toLowerCase().includes(whole));
      }
      mask[row] = fits ? 1 : 0;
      shown += mask[row];
    }
    document.getElementById('shown').textContent = shown === data.count
      ? `${number(shown)} jobs` : `${number(shown)} of ${number(data.count)} jobs`;
    listeners.forEach((listen) => listen());
  }

  function options(id, key, every, words, counts) {
    const select = document.getElementById(id);
    select.append(new Option(every, ''));
    words.forEach(([value, word]) => select.append(new Option(counts ? `${word} (${number(counts[value])})` : word, value)));
    select.hidden = words.length < 2 && key !== 'flag' && key !== 'cause';
    if (!words.length) select.hidden = true;
    select.addEventListener('change', () => { chosen[key] = select.value; apply(); });
    return select;
  }

  const numbered = (words) => words.map((word, n) => [String(n), word || 'no region']);
  const counts = new Array(data.causes.length).fill(0);
  const seen = { 1: 0, 2: 0, 3: 0, lost: 0, again: 0 };
  for (let row = 0; row < data.count; row += 1) {
    if (data.cause[row] !== NONE) counts[data.cause[row]] += 1;
    if (data.verdict[row]) seen[data.verdict[row]] += 1;
    if (data.losses[row]) seen.lost += 1;
    if (data.attempts[row] > 1) seen.again += 1;
  }
  const flags = [['1', 'passes'], ['2', 'warned of'], ['3', 'fails a limit'], ['lost', 'lacks inputs'], ['again', 'tried again']].filter(([key]) => seen[key]);
  data.flagNames.forEach((word, n) => flags.push([`bit${n}`, word]));
  const selects = [
    options('by-product', 'product', 'all products', numbered(data.products)),
    options('by-region', 'region', 'all regions', numbered(data.regions)),
    options('by-period', 'period', 'all periods', numbered(data.periods)),
    options('by-cause', 'cause', 'any cause', data.causes.map((word, n) => [String(n), word.length > 60 ? `${word.slice(0, 59)}…` : word]), counts),
    options('by-flag', 'flag', 'any quality', flags),
  ];
  const text = document.getElementById('by-text');
  let waiting = 0;
  text.addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { chosen.text = text.value.trim(); apply(); }, 120);
  });
  const chips = [...document.querySelectorAll('.chip')];

  function press() {
    chips.forEach((chip) => chip.setAttribute('aria-pressed', String(chosen.states.has(+chip.dataset.state))));
  }
  chips.forEach((chip) => {
    chip.disabled = false;
    chip.addEventListener('click', () => {
      const state = +chip.dataset.state;
      if (!chosen.states.delete(state)) chosen.states.add(state);
      press();
      apply();
    });
  });

  function clear() {
    chosen.states.clear();
    Object.assign(chosen, { product: '', region: '', period: '', cause: '', flag: '', text: '' });
    selects.forEach((select) => { select.value = ''; });
    text.value = '';
    press();
  }
  document.getElementById('clear').addEventListener('click', () => { clear(); apply(); });

  return {
    mask, chosen, apply,
    get shown() { return shown; },
    changed: (listen) => listeners.push(listen),
    onlyCause(cause) {
      clear();
      chosen.cause = String(cause);
      document.getElementById('by-cause').value = chosen.cause;
      apply();
    },
    onlyTile(name) {
      clear();
      chosen.text = name;
      text.value = name;
      apply();
    },
  };
}
