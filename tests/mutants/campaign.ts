/**
 * Hands mutants to the hunters, several at a time, and makes sure that the
 * original survives what the mutants died of.
 *
 * @module
 */
import type { Hunters } from "./arguments.ts";
import {
  BrokenMutantError,
  type Catch,
  checkTypes,
  huntByConformance,
  huntBySimulator,
} from "./hunters.ts";
import type { Mutant } from "./mutant.ts";
import { Workshop } from "./workshop.ts";

/** What became of a mutant. */
export interface Verdict {
  readonly mutant: Mutant;
  /** `broken`: the patch made no program, so that nothing is proven. */
  readonly outcome: "killed" | "survived" | "broken";
  /** Who killed it. */
  readonly caught: Catch | undefined;
  /** Why it is broken. */
  readonly problem: string;
  readonly seconds: number;
}

/** What a campaign is made of. */
export interface CampaignOptions {
  /** The project's root. */
  readonly root: string;
  readonly mutants: readonly Mutant[];
  /** Seeds a mutant may survive. */
  readonly seeds: number;
  /** Mutants at the same time. */
  readonly workers: number;
  readonly by: Hunters;
  readonly checkTypes: boolean;
  /** Told of every verdict as it is reached. */
  readonly onVerdict: (verdict: Verdict) => void;
}

/** The original failed a hunter: then a mutant's failing proves nothing. */
export class BaselineError extends Error {
  override name = "BaselineError";
}

/** Seeds that the original has to survive before anything is tried. */
const BASELINE_SEEDS = 50;

/**
 * Tries every mutant.
 *
 * @throws {BaselineError} If the original does not pass.
 */
export async function runCampaign(
  options: CampaignOptions,
): Promise<Verdict[]> {
  const { root, mutants, workers, onVerdict } = options;
  const shops = [new Workshop(root)];
  const closeAll = () => shops.forEach((shop) => shop.close());
  try {
    await checkBaseline(shops[0], options);
    for (let i = 1; i < Math.min(workers, mutants.length); i++) {
      // Copies of a copy: the sources may change meanwhile.
      shops.push(new Workshop(shops[0]?.folder ?? root));
    }
    const verdicts: Verdict[] = [];
    const queue = mutants.values();
    await Promise.all(shops.map(async (shop) => {
      for (const mutant of queue) {
        const verdict = await judge(shop, mutant, options);
        verdicts.push(verdict);
        onVerdict(verdict);
      }
    }));
    await checkDeadlySeeds(shops[0], verdicts);
    const order = new Map(mutants.map(({ id }, i) => [id, i]));
    const place = ({ mutant }: Verdict) => order.get(mutant.id) ?? 0;
    return verdicts.sort((left, right) => place(left) - place(right));
  } finally {
    closeAll();
  }
}

async function judge(
  shop: Workshop,
  mutant: Mutant,
  options: CampaignOptions,
): Promise<Verdict> {
  const start = performance.now();
  const done = (
    outcome: Verdict["outcome"],
    caught: Catch | undefined,
    problem = "",
  ): Verdict => {
    const seconds = (performance.now() - start) / 1000;
    return { mutant, outcome, caught, problem, seconds };
  };
  shop.become(mutant);
  try {
    if (options.checkTypes) await checkTypes(shop.folder);
    const caught = await huntWith(shop.folder, options);
    return done(caught === undefined ? "survived" : "killed", caught);
  } catch (error) {
    if (!(error instanceof BrokenMutantError)) throw error;
    return done("broken", undefined, error.message);
  }
}

async function huntWith(
  folder: string,
  { by, seeds }: Pick<CampaignOptions, "by" | "seeds">,
): Promise<Catch | undefined> {
  if (by !== "simulator") {
    const caught = await huntByConformance(folder);
    if (caught !== undefined || by === "conformance") return caught;
  }
  return await huntBySimulator(folder, { from: 1, through: seeds });
}

async function checkBaseline(
  shop: Workshop | undefined,
  { by, seeds }: CampaignOptions,
): Promise<void> {
  if (shop === undefined) return;
  const few = Math.min(seeds, BASELINE_SEEDS);
  const failed = await huntWith(shop.folder, { by, seeds: few });
  if (failed !== undefined) throw baselineError(failed);
}

/**
 * Whatever seed killed a mutant, the original has to survive; and where a
 * mutant missed a mark, it has to reach them all.
 */
async function checkDeadlySeeds(
  shop: Workshop | undefined,
  verdicts: readonly Verdict[],
): Promise<void> {
  const deadly = new Set<number>();
  let marked = 0;
  for (const { caught } of verdicts) {
    if (caught === undefined || caught.seeds <= BASELINE_SEEDS) continue;
    if (caught.by === "marks") marked = Math.max(marked, caught.seeds);
    else deadly.add(caught.seeds);
  }
  if (shop === undefined) return;
  shop.become(undefined);
  for (const seeds of [[...deadly], { from: 1, through: marked }]) {
    const failed = await huntBySimulator(shop.folder, seeds);
    if (failed !== undefined) throw baselineError(failed);
  }
}

function baselineError({ hunter, by, seeds, message }: Catch): BaselineError {
  const where = seeds > 0 ? ` at seed ${seeds}` : "";
  return new BaselineError(
    `Cannot prove anything: the core without a mutant fails the ${hunter}${where} (${by}): ${message}`,
  );
}
