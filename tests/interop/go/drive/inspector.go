package main

import (
	"encoding/json"
	"fmt"

	"github.com/hibiken/asynq"
)

// about names what a call of the inspector is about; each verb reads what it needs.
type about struct {
	Queue   string `json:"queue"`
	State   string `json:"state"`
	Group   string `json:"group"`
	ID      string `json:"id"`
	Payload []byte `json:"payload"`
	Days    int    `json:"days"`
	Force   bool   `json:"force"`
	Size    int    `json:"size"`
	Page    int    `json:"page"`
}

func init() {
	for name, verb := range map[string]func(*asynq.Inspector, about) (any, error){
		"queues":       func(i *asynq.Inspector, _ about) (any, error) { return i.Queues() },
		"groups":       func(i *asynq.Inspector, a about) (any, error) { return i.Groups(a.Queue) },
		"queue_info":   func(i *asynq.Inspector, a about) (any, error) { return i.GetQueueInfo(a.Queue) },
		"history":      func(i *asynq.Inspector, a about) (any, error) { return i.History(a.Queue, a.Days) },
		"delete_queue": func(i *asynq.Inspector, a about) (any, error) { return nil, i.DeleteQueue(a.Queue, a.Force) },
		"pause":        func(i *asynq.Inspector, a about) (any, error) { return nil, i.PauseQueue(a.Queue) },
		"unpause":      func(i *asynq.Inspector, a about) (any, error) { return nil, i.UnpauseQueue(a.Queue) },
		"run_task":     func(i *asynq.Inspector, a about) (any, error) { return nil, i.RunTask(a.Queue, a.ID) },
		"archive_task": func(i *asynq.Inspector, a about) (any, error) { return nil, i.ArchiveTask(a.Queue, a.ID) },
		"delete_task":  func(i *asynq.Inspector, a about) (any, error) { return nil, i.DeleteTask(a.Queue, a.ID) },
		"cancel":       func(i *asynq.Inspector, a about) (any, error) { return nil, i.CancelProcessing(a.ID) },
		"update_payload": func(i *asynq.Inspector, a about) (any, error) {
			return nil, i.UpdateTaskPayload(a.Queue, a.ID, a.Payload)
		},
		"servers":     func(i *asynq.Inspector, _ about) (any, error) { return i.Servers() },
		"entries":     entries,
		"events":      func(i *asynq.Inspector, a about) (any, error) { return i.ListSchedulerEnqueueEvents(a.ID, a.list()...) },
		"task":        oneTask,
		"list":        list,
		"run_all":     runAll,
		"archive_all": archiveAll,
		"delete_all":  deleteAll,
	} {
		verbs[name] = func(d *driver, with json.RawMessage) (any, error) {
			form, err := read[about](with)
			if err != nil {
				return nil, err
			}
			return verb(d.inspector, form)
		}
	}
}

func (a about) list() []asynq.ListOption {
	var list []asynq.ListOption
	if a.Size > 0 {
		list = append(list, asynq.PageSize(a.Size))
	}
	if a.Page > 0 {
		list = append(list, asynq.Page(a.Page))
	}
	return list
}

func oneTask(i *asynq.Inspector, a about) (any, error) {
	info, err := i.GetTaskInfo(a.Queue, a.ID)
	if err != nil {
		return nil, err
	}
	return describe(info), nil
}

func list(i *asynq.Inspector, a about) (any, error) {
	if a.State == "aggregating" {
		infos, err := i.ListAggregatingTasks(a.Queue, a.Group, a.list()...)
		return describeAll(infos), err
	}
	lister, ok := map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		"pending":   i.ListPendingTasks,
		"active":    i.ListActiveTasks,
		"scheduled": i.ListScheduledTasks,
		"retry":     i.ListRetryTasks,
		"archived":  i.ListArchivedTasks,
		"completed": i.ListCompletedTasks,
	}[a.State]
	if !ok {
		return nil, noSuchState(a)
	}
	infos, err := lister(a.Queue, a.list()...)
	return describeAll(infos), err
}

func runAll(i *asynq.Inspector, a about) (any, error) {
	return every(a, i.RunAllAggregatingTasks, map[string]func(string) (int, error){
		"scheduled": i.RunAllScheduledTasks,
		"retry":     i.RunAllRetryTasks,
		"archived":  i.RunAllArchivedTasks,
	})
}

func archiveAll(i *asynq.Inspector, a about) (any, error) {
	return every(a, i.ArchiveAllAggregatingTasks, map[string]func(string) (int, error){
		"pending":   i.ArchiveAllPendingTasks,
		"scheduled": i.ArchiveAllScheduledTasks,
		"retry":     i.ArchiveAllRetryTasks,
	})
}

func deleteAll(i *asynq.Inspector, a about) (any, error) {
	return every(a, i.DeleteAllAggregatingTasks, map[string]func(string) (int, error){
		"pending":   i.DeleteAllPendingTasks,
		"scheduled": i.DeleteAllScheduledTasks,
		"retry":     i.DeleteAllRetryTasks,
		"archived":  i.DeleteAllArchivedTasks,
		"completed": i.DeleteAllCompletedTasks,
	})
}

func every(
	a about, ofGroup func(string, string) (int, error), ofState map[string]func(string) (int, error),
) (any, error) {
	if a.State == "aggregating" {
		return ofGroup(a.Queue, a.Group)
	}
	verb, ok := ofState[a.State]
	if !ok {
		return nil, noSuchState(a)
	}
	return verb(a.Queue)
}

func noSuchState(a about) error {
	return fmt.Errorf("no verb for the state %q", a.State)
}

func entries(i *asynq.Inspector, _ about) (any, error) {
	found, err := i.SchedulerEntries()
	all := []any{}
	for _, entry := range found {
		all = append(all, map[string]any{
			"id":      entry.ID,
			"spec":    entry.Spec,
			"type":    entry.Task.Type(),
			"payload": entry.Task.Payload(),
			"options": texts(entry.Opts),
			"next":    unix(entry.Next),
			"prev":    unix(entry.Prev),
		})
	}
	return all, err
}
