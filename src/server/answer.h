/* server/answer.h - what came of a task, as messages for its client.
 *
 * All is made in the arena, borrows from the runs, and is text that a client can read:
 * UTF-8, and less than ANSWER_MAX bytes in all, which is what clients take. Where there is
 * more, texts are cut, the longest first, and `truncated` in the metadata says so.
 */
#ifndef BRIG_SERVER_ANSWER_H
#define BRIG_SERVER_ANSWER_H

#include "server/tool.h"

#define ANSWER_MAX ((size_t)4 << 20)

/* Of a task that was run, one run for each of its calls. NULL without memory. */
Shannon__Agent__ExecuteTaskResponse *brig__answer_response(struct arena *arena,
                                                           const struct task *task,
                                                           struct tool_run *runs,
                                                           uint64_t latency_us);

/* For a stream: the task's update in this state, with progress from 0 to 1. */
Shannon__Agent__TaskUpdate *brig__answer_update(struct arena *arena, const struct task *task,
                                                Shannon__Agent__AgentState state, double progress);
/* The end of one of its calls. */
Shannon__Agent__TaskUpdate *brig__answer_ended(struct arena *arena, const struct task *task,
                                               struct tool_run *run, double progress, bool last);
Shannon__Common__ToolCall *brig__answer_call(struct arena *arena, const struct task_call *call);

#endif
