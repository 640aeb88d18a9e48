/**
 * Medians, percentiles and tables.
 *
 * @module
 */

/** The middle of some figures, and how far they spread. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/**
 * Median, least and greatest of some figures.
 *
 * @throws {RangeError} If there are none.
 */
export function spread(figures: readonly number[]): Spread {
  const sorted = Float64Array.from(figures).sort();
  return {
    median: percentile(sorted, 50),
    min: percentile(sorted, 0),
    max: percentile(sorted, 100),
  };
}

/**
 * The smallest figure that `percent` of all do not exceed.
 *
 * @throws {RangeError} If there are none.
 */
export function percentile(sorted: Float64Array, percent: number): number {
  const rank = Math.ceil((percent / 100) * sorted.length) - 1;
  const figure = sorted[Math.max(0, rank)];
  if (figure === undefined) {
    throw new RangeError("Cannot take a percentile: there are no figures");
  }
  return figure;
}

/** A figure with about three significant digits and a thousands separator. */
export function format(figure: number): string {
  if (Math.abs(figure) >= 100) {
    return Math.round(figure).toLocaleString("en-US").replaceAll(",", " ");
  }
  return figure.toPrecision(figure < 0.1 ? 2 : 3);
}

/** A rate with the spread over the rounds: `1 234 (1 100–1 300)`. */
export function formatSpread({ median, min, max }: Spread): string {
  return `${format(median)} (${format(min)}–${format(max)})`;
}

/** A ratio: `0.42 x`. */
export function formatRatio(figure: number, yardstick: number): string {
  return `${format(figure / yardstick)} x`;
}

/** A Markdown table whose columns line up in plain text too. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) =>
    Math.max(...all.map((row) => (row[column] ?? "").length))
  );
  const line = (row: readonly string[]) =>
    `| ${
      widths.map((width, column) => {
        const cell = row[column] ?? "";
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      }).join(" | ")
    } |`;
  const rule = `| ${
    widths.map((width, column) =>
      column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
    ).join(" | ")
  } |`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}
