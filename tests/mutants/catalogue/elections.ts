/**
 * Bugs of elections and terms.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

const ELECTION = "src/core/election.ts";
const RAFT = "src/core/raft.ts";
const RAFT_LOG = "src/core/raft_log.ts";
const RAW_NODE = "src/core/raw_node.ts";
const STEP = "src/core/step.ts";
const STEP_CANDIDATE = "src/core/step_candidate.ts";
const STEP_FOLLOWER = "src/core/step_follower.ts";
const TICK = "src/core/tick.ts";
const TRACKER = "src/core/tracker.ts";

/** Votes that are given, kept and counted wrongly. */
const VOTES: readonly Mutant[] = [
  {
    id: "vote-before-durable",
    hazard: "H01",
    what: "a vote leaves before it is on disk",
    patches: [{
      file: ELECTION,
      find: `raft.sendAfterPersist({
    type: pre ?`,
      replace: `raft.send({
    type: pre ?`,
    }],
  },
  {
    id: "candidacy-before-durable",
    hazard: "§3.8",
    what: "a candidate asks for votes before its term and log are on disk",
    patches: [{
      file: ELECTION,
      find: `raft.sendAfterPersist({
      type: "requestVote",`,
      replace: `raft.send({
      type: "requestVote",`,
    }],
  },
  {
    id: "own-vote-before-durable",
    hazard: "H01, H19",
    what: "a candidate counts its own vote before that is on disk",
    patches: [{
      file: ELECTION,
      find: `raft.sendAfterPersist({
        type: kind === "preVote"`,
      replace: `handleVoteResponse(raft, {
        type: kind === "preVote"`,
    }],
  },
  {
    id: "vote-not-stored",
    hazard: "H59",
    what: "a vote in a known term does not reach the disk",
    patches: [{
      file: RAW_NODE,
      find: `last.term !== term || last.vote !== vote ||`,
      replace: `last.term !== term ||`,
    }],
  },
  {
    id: "vote-not-flushed",
    hazard: "H59",
    what: "a write of term and vote alone is said to need no flush",
    patches: [{
      file: RAW_NODE,
      find: `(hardState !== undefined &&
        (hardState.term !== before.term || hardState.vote !== before.vote));`,
      replace: `number < 0;`,
    }],
  },
  {
    id: "vote-erased-in-term",
    hazard: "H02",
    what: "becoming a follower forgets the vote of the same term",
    patches: [{
      file: RAFT,
      find: `this.#reset(term);
    this.role = "follower";`,
      replace: `this.#reset(term);
    this.vote = null;
    this.role = "follower";`,
    }],
  },
  {
    id: "vote-forgotten-at-start",
    hazard: "H01",
    what: "a restarted member does not know whom it voted for",
    patches: [{
      file: RAFT,
      find: `this.vote = restored.hardState.vote;`,
      replace: `this.vote = null;`,
    }],
  },
  {
    id: "vote-twice",
    hazard: "§3.4",
    what: "whoever asks gets the vote, however many ask in a term",
    patches: [{
      file: ELECTION,
      find: `raft.vote === message.from ||
    (raft.vote`,
      replace: `message.type === "requestVote" ||
    (raft.vote`,
    }],
  },
  {
    id: "vote-not-repeated",
    hazard: "H14",
    what: "a candidate that asks again is refused the vote it has",
    patches: [{
      file: ELECTION,
      find: `raft.vote === message.from ||
    (raft.vote`,
      replace: `(raft.vote`,
    }],
  },
  {
    id: "vote-for-shorter-log",
    hazard: "§3.6.1",
    what: "of two logs that end in the same term the shorter one may lead",
    patches: [{
      file: RAFT_LOG,
      find: `(id.term === lastTerm && id.index >= this.runs.lastIndex)`,
      replace: `id.term === lastTerm`,
    }],
  },
  {
    id: "vote-by-length-alone",
    hazard: "§3.6.1",
    what: "the longer log may lead, whatever term it ends in",
    patches: [{
      file: RAFT_LOG,
      find: `return id.term > lastTerm ||
      (id.term === lastTerm && id.index >= this.runs.lastIndex);`,
      replace: `return id.term > lastTerm || id.index >= this.runs.lastIndex;`,
    }],
  },
  {
    id: "vote-counted-per-answer",
    hazard: "H13",
    what: "votes are counted per answer, not per member",
    patches: [
      {
        file: TRACKER,
        find: `readonly votes: Map<NodeId, boolean> = new Map();`,
        replace: `readonly votes: Map<NodeId, boolean> = new Map();
  #grants = 0;`,
      },
      {
        file: TRACKER,
        find: `if (!this.votes.has(id)) this.votes.set(id, granted);`,
        replace: `if (this.votes.size === 0) this.#grants = 0;
    if (granted) this.#grants++;
    this.votes.set(id, granted);`,
      },
      {
        file: TRACKER,
        find:
          `return jointVote(voters, votersOutgoing, (id) => this.votes.get(id));`,
        replace: `if (this.#grants > voters.length / 2) return "won";
    return jointVote(voters, votersOutgoing, (id) => this.votes.get(id));`,
      },
    ],
  },
  {
    id: "pre-vote-counted-as-vote",
    hazard: "H03",
    what: "a late answer to the pre-vote counts in the real election",
    patches: [{
      file: ELECTION,
      find: `const pre = message.type === "requestPreVoteResponse";
  if (raft.role !== (pre ? "preCandidate" : "candidate")) return;`,
      replace: `const pre = raft.role === "preCandidate";
  if (!pre && raft.role !== "candidate") return;`,
    }],
  },
  {
    id: "learners-elect",
    hazard: "H12",
    what: "learners are asked for votes and counted",
    patches: [
      {
        file: ELECTION,
        find: `for (const to of allVoters(raft.tracker.conf)) {`,
        replace: `for (const to of raft.tracker.members) {`,
      },
      {
        file: TRACKER,
        find:
          `return jointVote(voters, votersOutgoing, (id) => this.votes.get(id));`,
        replace: `return jointVote(
      [...voters, ...this.conf.learners],
      votersOutgoing,
      (id) => this.votes.get(id),
    );`,
      },
    ],
  },
  {
    id: "learner-campaigns",
    hazard: "H12",
    what: "a learner stands for election",
    patches: [{
      file: RAFT,
      find: `return isVoter(conf, this.id) &&`,
      replace: `return this.tracker.progress.has(this.id) &&`,
    }],
  },
];

/** Terms, roles and the clock of elections. */
const TERMS: readonly Mutant[] = [
  {
    id: "pre-vote-raises-term",
    hazard: "§9.6, H09",
    what: "a request for a pre-vote raises the term of who is asked",
    patches: [{
      file: STEP,
      find: `if (isNew && message.type === "requestVote") {`,
      replace: `if (isNew) {`,
    }],
  },
  {
    id: "no-stickiness",
    hazard: "§4.2.3, H09",
    what: "members in contact with their leader listen to candidates",
    patches: [{
      file: STEP,
      find: `return raft.electionElapsed < electionTicks;`,
      replace: `return raft.electionElapsed < 0;`,
    }],
  },
  {
    id: "pre-candidate-keeps-leader",
    hazard: "H05",
    what: "who asks for pre-votes still believes in its leader",
    patches: [{
      file: RAFT,
      find: `this.role = "preCandidate";
    this.leader = null;`,
      replace: `this.role = "preCandidate";`,
    }],
  },
  {
    id: "pre-vote-refusal-teaches-nothing",
    hazard: "H04",
    what: "a refused pre-candidate does not take the higher term it is told",
    patches: [{
      file: STEP,
      find: `if (message.reject) raft.becomeFollower(message.term, null);
      return;`,
      replace: `return;`,
    }],
  },
  {
    id: "old-pre-vote-unanswered",
    hazard: "H04",
    what: "a pre-vote of an older term gets no answer",
    patches: [{
      file: STEP,
      find: `case "requestPreVote":
      raft.sendAfterPersist({`,
      replace: `case "requestPreVote":
      if (raft.id > 0) return;
      raft.sendAfterPersist({`,
    }],
  },
  {
    id: "old-leader-unanswered",
    hazard: "H04, H05",
    what: "a leader of an older term is not told of the newer one",
    patches: [{
      file: STEP,
      find: `if (!config.checkQuorum && !config.preVote) {
        if (leader !== null || !config.mixedSettings) return;
      }`,
      replace: `if (id > 0) return;`,
    }],
  },
  {
    id: "higher-term-in-answer-ignored",
    hazard: "H18",
    what: "who meets a higher term in an answer goes on in its own",
    patches: [{
      file: STEP,
      find: `default:
      raft.becomeFollower(message.term, null);
      return;`,
      replace: `default:
      return;`,
    }],
  },
  {
    id: "candidate-ignores-leader-of-its-term",
    hazard: "§3.4",
    what: "a candidate does not follow who won its term",
    patches: [{
      file: STEP_CANDIDATE,
      find: `raft.becomeFollower(message.term, message.from);
      return stepFollower(raft, message);`,
      replace: `return "accepted";`,
    }],
  },
  {
    id: "leader-campaigns",
    hazard: "H08",
    what: "a leader that is told to campaign does",
    patches: [{
      file: ELECTION,
      find: `if (raft.role === "leader" || !raft.promotable) return false;`,
      replace: `if (!raft.promotable) return false;`,
    }],
  },
  {
    id: "timeout-not-random",
    hazard: "H16",
    what: "all members wait equally long before they campaign",
    patches: [{
      file: RAFT,
      find: `this.electionTimeout = electionTicks +
      Math.floor(this.#random() * electionTicks);`,
      replace: `this.electionTimeout = electionTicks;`,
    }],
  },
  {
    id: "timeout-drawn-once",
    hazard: "H16",
    what: "a member keeps its first election timeout for ever",
    patches: [{
      file: RAFT,
      find: `this.heartbeatElapsed = 0;
    this.drawElectionTimeout();`,
      replace: `this.heartbeatElapsed = 0;`,
    }],
  },
  {
    id: "timer-not-reset-by-leader",
    hazard: "§3.4",
    what: "contact with the leader does not put off the next campaign",
    patches: [{
      file: STEP_FOLLOWER,
      find: `raft.electionElapsed = 0;
  raft.leader = leader;`,
      replace: `raft.leader = leader;`,
    }],
  },
  {
    id: "campaign-with-unapplied-change",
    hazard: "H77",
    what: "a member campaigns while a committed change is not in force",
    patches: [{
      file: ELECTION,
      find:
        `if (raft.log.mayHoldUnappliedConf || isStalled(raft)) return false;`,
      replace: `if (isStalled(raft)) return false;`,
    }],
  },
  {
    id: "step-down-rolls-back",
    hazard: "H22",
    what: "a leader that steps down cuts its log at its commit index",
    patches: [{
      file: RAFT,
      find: `this.#reset(term);
    this.role = "follower";`,
      replace:
        `if (this.role === "leader" && this.log.commitIndex < this.log.lastIndex) {
      const { log } = this;
      const from = log.commitIndex + 1;
      log.runs.truncate(from);
      log.tail.truncate(from);
      log.stableIndex = Math.min(log.stableIndex, from - 1);
      log.writtenIndex = Math.min(log.writtenIndex, from - 1);
    }
    this.#reset(term);
    this.role = "follower";`,
    }],
  },
  {
    id: "check-quorum-never-steps-down",
    hazard: "H10",
    what: "a leader that hears of no quorum goes on leading",
    patches: [{
      file: TICK,
      find: `if (!raft.tracker.quorumActive(raft.id)) {`,
      replace: `if (raft.id === 0) {`,
    }],
  },
  {
    id: "check-quorum-remembers-for-ever",
    hazard: "H10",
    what: "a member heard of once counts as there for the whole term",
    patches: [{
      file: TICK,
      find: `progress.recentActive = false;`,
      replace: ``,
    }],
  },
  {
    id: "check-quorum-counts-learners",
    hazard: "H30",
    what: "learners keep a leader in office that hears of no quorum",
    patches: [{
      file: TRACKER,
      find: `return jointVote(voters, votersOutgoing, (id) => {`,
      replace:
        `return jointVote([...voters, ...this.conf.learners], votersOutgoing, (id) => {`,
    }],
  },
  {
    id: "check-quorum-of-one-half",
    hazard: "H10, §4.3",
    what: "the new half of a joint configuration keeps a leader in office",
    patches: [{
      file: TRACKER,
      find: `return jointVote(voters, votersOutgoing, (id) => {`,
      replace: `return jointVote(voters, votersOutgoing.slice(0, 0), (id) => {`,
    }],
  },
];

/** All of this file. */
export const ELECTIONS: readonly Mutant[] = [...VOTES, ...TERMS];
