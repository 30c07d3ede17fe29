// From the counters of a job's reports to rates and shares over time.

const keptSeconds = 600

const sum = (list, pick) => list.reduce((total, item) => total + (pick(item) ?? 0), 0)
const least = (list, pick) => list.map(pick).filter(value => value !== null && value !== undefined).reduce((a, b) => a === null || b < a ? b : a, null)

/** The counters of all subtasks of a vertex. */
export function totals(vertex) {
  const subtasks = vertex.subtasks
  const hasLag = subtasks.some(s => s.lag !== undefined && s.lag !== null)
  return {
    rowsIn: sum(subtasks, s => s.rowsIn), rowsOut: sum(subtasks, s => s.rowsOut), bytesIn: sum(subtasks, s => s.bytesIn), bytesOut: sum(subtasks, s => s.bytesOut),
    lateRows: sum(subtasks, s => s.lateRows), badRecords: sum(subtasks, s => s.badRecords), busy: sum(subtasks, s => s.busy),
    held: sum(subtasks, s => s.backPressured), idle: sum(subtasks, s => s.idle), lag: hasLag ? sum(subtasks, s => s.lag) : null,
    watermark: least(subtasks, s => s.watermark),
  }
}

function shares(now, before) {
  const busy = now.busy - before.busy, held = now.held - before.held, idle = now.idle - before.idle, all = busy + held + idle
  return all > 0 && busy >= 0 && held >= 0 && idle >= 0 ? { busy: busy / all, held: held / all, idle: idle / all } : { busy: null, held: null, idle: null }
}

/** What a vertex did between two reports. */
function between(now, before, seconds) {
  const per = name => now[name] >= before[name] ? (now[name] - before[name]) / seconds : null
  return { in: per('rowsIn'), out: per('rowsOut'), lag: now.lag, ...shares(now, before) }
}

export class JobHistory {
  constructor() {
    this.points = []
    this.last = null
  }

  /** Takes what the service remembers of the time before the first report: points with rates, the oldest first. */
  addPast(points) {
    const first = this.points[0]?.at ?? Infinity
    const past = points.filter(point => point.at < first).map(point => ({
      at: point.at,
      vertices: new Map(point.vertices.map(v => [v.id, {
        in: v.rowsInPerSecond, out: v.rowsOutPerSecond, lag: v.lag, busy: v.busy, held: v.backPressured, idle: v.idle,
      }])),
    }))
    this.points.unshift(...past)
  }

  /** Takes a report; returns whether it was a new one. */
  add(report) {
    const at = report.takenAt ?? Date.now(), last = this.last
    if (last && at <= last.at) return false
    const current = { at, attempt: report.attempt, vertices: new Map(), subtasks: new Map() }
    for (const vertex of report.vertices) {
      current.vertices.set(vertex.id, totals(vertex))
      for (const s of vertex.subtasks) current.subtasks.set(`${vertex.id}/${s.index}`, totals({ subtasks: [s] }))
    }
    this.last = current
    if (!last || last.attempt !== current.attempt) return true
    const seconds = (at - last.at) / 1000, vertices = new Map()
    for (const [id, now] of current.vertices) {
      const before = last.vertices.get(id)
      if (before) vertices.set(id, between(now, before, seconds))
    }
    this.points.push({ at, vertices })
    this.subtaskRates = new Map()
    for (const [id, now] of current.subtasks) {
      const before = last.subtasks.get(id)
      if (before) this.subtaskRates.set(id, between(now, before, seconds))
    }
    const first = this.points.findIndex(point => point.at > at - keptSeconds * 1000)
    if (first > 0) this.points.splice(0, first)
    return true
  }

  /** The newest rates and shares of a vertex. */
  rates(id) { return this.points.at(-1)?.vertices.get(id) ?? {} }
  rowRates(id, index) { return this.subtaskRates?.get(`${id}/${index}`) ?? {} }

  /** Points { x: seconds from now, y } of one vertex. */
  series(id, pick) {
    const now = this.points.at(-1)?.at ?? 0
    return this.points.map(point => {
      const rates = point.vertices.get(id)
      return { x: (point.at - now) / 1000, y: rates ? pick(rates) : null }
    })
  }
}
