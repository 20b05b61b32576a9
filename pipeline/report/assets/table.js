// Jobs as rows, a page at a time; sorted by any column.
const PAGE = 25;
const text = (column, words) => (data, row) => data[words][data[column][row]];
const HEAD = [
  ['product', text('product', 'products')], ['tile', text('tile', 'tiles')], ['period', text('period', 'periods')],
  ['region', text('region', 'regions')], ['outcome', (data, row) => WORDS[data.state[row]]],
  ['began', (data, row) => data.begun[row], true, (value) => (value < 0 ? '–' : `+${duration(value)}`)],
  ['took', (data, row) => data.seconds[row], true, (value) => (value ? duration(value) : '–')],
  ['attempts', (data, row) => data.attempts[row], true], ['read', (data, row) => data.read[row], true, size],
  ['written', (data, row) => data.written[row], true, size], ['quality', (data, row) => VERDICTS[data.verdict[row]]],
  ['lost inputs', (data, row) => data.losses[row], true], ['cause', (data, row) => message(data, row)],
];

function jobRow(data, row) {
  return make('tr', { className: 'job' }, ...HEAD.map(([name, get, right, told]) => {
    const value = get(data, row);
    const cell = make('td', { className: right ? 'n' : '' }, told ? told(value) : typeof value === 'number' ? number(value) : value);
    if (name === 'cause') cell.title = value;
    if (name === 'outcome') cell.prepend(make('i', { className: `dot s-${STATES[data.state[row]]}` }), ' ');
    return cell;
  }));
}

function makeTable(data, filter, pick) {
  const [head, body] = document.getElementById('jobs').children;
  let [rows, page, by, down] = [new Uint32Array(0), 0, 4, true];

  const marks = HEAD.map(([word, , right], place) => {
    const button = make('button', { type: 'button', onclick: () => { down = by === place ? !down : Boolean(right); by = place; page = 0; sort(); } }, word);
    return make('th', { className: right ? 'n' : '', scope: 'col' }, button);
  });
  head.append(make('tr', {}, ...marks));

  function sort() {
    let at = 0;
    rows = new Uint32Array(filter.shown);
    for (let row = 0; row < data.count; row += 1) if (filter.mask[row]) { rows[at] = row; at += 1; }
    const get = by === 4 ? (_, row) => RANK[data.state[row]] : HEAD[by][1];
    const keys = new Array(data.count);
    rows.forEach((row) => { keys[row] = get(data, row); });
    const order = typeof keys[rows[0]] === 'string' ? (a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b) : (a, b) => keys[a] - keys[b] || a - b;
    rows.sort(down ? (a, b) => order(b, a) : order);
    draw();
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    page = Math.max(0, Math.min(page, pages - 1));
    marks.forEach((mark, place) => mark.setAttribute('aria-sort', place !== by ? 'none' : down ? 'descending' : 'ascending'));
    body.replaceChildren(...[...rows.subarray(page * PAGE, (page + 1) * PAGE)].map((row) => {
      const made = jobRow(data, row);
      made.addEventListener('click', () => { pick(data.tile[row]); });
      return made;
    }));
    document.getElementById('page').textContent = `page ${number(page + 1)} of ${number(pages)}`;
    document.getElementById('before').disabled = page === 0;
    document.getElementById('after').disabled = page >= pages - 1;
  }

  function save() {
    const quoted = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    const lines = [HEAD.map(([name]) => name).join(',')];
    rows.forEach((row) => lines.push(HEAD.map(([, get]) => quoted(String(get(data, row)))).join(',')));
    const address = URL.createObjectURL(new Blob([`${lines.join('\n')}\n`], { type: 'text/csv' }));
    make('a', { href: address, download: `${data.run}-jobs.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  document.getElementById('before').addEventListener('click', () => { page -= 1; draw(); });
  document.getElementById('after').addEventListener('click', () => { page += 1; draw(); });
  document.getElementById('save').addEventListener('click', save);
  filter.changed(() => { page = 0; sort(); });
}
