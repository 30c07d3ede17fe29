// How numbers, sizes and times read.

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const tenth = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 })
const oneTenth = new Intl.NumberFormat('en-US', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
const compact = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 3 })

export const none = '–'
const isMissing = n => n === null || n === undefined || Number.isNaN(n)

/** 1,234,567 */
export const count = n => isMissing(n) ? none : whole.format(n)
/** 1,234/s; small rates with a digit behind the point */
export const rate = n => isMissing(n) ? none : (n < 10 ? tenth : whole).format(n) + '/s'
/** 12.3K/s */
export const shortRate = n => isMissing(n) ? none : (n < 10 ? tenth.format(n) : compact.format(n)) + '/s'
/** A share from 0 to 1 as 43 % */
export const percent = n => isMissing(n) ? none : whole.format(n * 100) + ' %'

/** 1.2 MB */
export function bytes(n) {
  if (isMissing(n)) return none
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  let at = 0
  while (n >= 999.5 && at < units.length - 1) [n, at] = [n / 1000, at + 1]
  return (at === 0 || n >= 100 ? whole : tenth).format(n) + ' ' + units[at]
}

/** Milliseconds as 12 ms, 1.2 s, 3 min 4 s, 2 h 5 min, 3 d 4 h */
export function duration(ms) {
  if (isMissing(ms) || ms < 0) return none
  if (ms < 1000) return whole.format(ms) + ' ms'
  if (ms < 60_000) return oneTenth.format(ms / 1000) + ' s'
  const s = Math.floor(ms / 1000)
  const two = (a, b, x, y) => b ? `${a} ${x} ${b} ${y}` : `${a} ${x}`
  if (s < 3600) return two(Math.floor(s / 60), s % 60, 'min', 's')
  if (s < 86_400) return two(Math.floor(s / 3600), Math.floor(s % 3600 / 60), 'h', 'min')
  return two(Math.floor(s / 86_400), Math.floor(s % 86_400 / 3600), 'd', 'h')
}

/** Milliseconds since 1970, or a text that says a time, as a number; null when it is neither. */
export function instant(value) {
  if (isMissing(value) || value === '') return null
  if (typeof value === 'number') return value > 0 ? value : null
  const digits = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{3})$/.exec(value)
  if (digits) return Date.UTC(digits[1], digits[2] - 1, digits[3], digits[4], digits[5], digits[6], digits[7])
  if (/^\d{12,14}$/.test(value)) return Number(value)
  const parsed = Date.parse(value)
  return Number.isNaN(parsed) ? null : parsed
}

/** 2026-01-31 12:00:00.123 in the reader's time zone */
export function absolute(value) {
  const at = instant(value)
  if (at === null || Math.abs(at) > 8.64e15) return ''
  const d = new Date(at), two = n => String(n).padStart(2, '0')
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, '0')}`
}

/** 12:00:00 */
export const clock = value => absolute(value).slice(11, 19) || none

/** 3 s ago */
export function relative(value, now = Date.now()) {
  const at = instant(value)
  if (at === null) return none
  const gone = now - at
  if (gone < -1000) return 'in ' + (gone > -60_000 ? Math.floor(-gone / 1000) + ' s' : duration(-gone))
  if (gone < 1000) return 'now'
  return (gone < 60_000 ? Math.floor(gone / 1000) + ' s' : duration(gone)) + ' ago'
}

/** Cell of a table that shows a time by its distance from now. */
export const ago = value => ({ text: relative(value), title: absolute(value) })

/** An event-time watermark in milliseconds: the largest number means the end of event time. */
export function watermark(value) {
  if (isMissing(value)) return { text: none }
  if (value >= 9e18) return { text: 'end' }
  return { text: absolute(value), title: relative(value) }
}

/** A value of a row as text. */
export function cell(value) {
  if (value === null || value === undefined) return { text: 'NULL', class: 'null' }
  if (typeof value === 'object') return { text: JSON.stringify(value, (_, inner) => typeof inner === 'bigint' ? String(inner) : inner) }
  return { text: String(value), class: typeof value === 'number' || typeof value === 'bigint' ? 'number' : '' }
}

/** A long number such as a record's sequence, by its last digits. */
export const tail = text => text !== null && text !== undefined ? { text: String(text).length > 24 ? '…' + String(text).slice(-12) : String(text), title: String(text), class: 'code' } : ''

/** The watermark's time of day; the whole of it in the title. */
export function shortWatermark(value) {
  const shown = watermark(value)
  return shown.text.length > 11 ? { text: shown.text.slice(11), title: `${shown.text}, ${shown.title}` } : shown
}
