package sandbox

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
)

// Files of a recorded run.
const (
	recordStatus = "status"
	recordHandle = "handle.json"
)

// RunRecorded is Run with the process on record in dir before it begins, so
// that EndRecorded ends what a crash of the platform leaves running. dir
// belongs to one run at a time and is out of reach of the process.
func (s *Sandbox) RunRecorded(ctx context.Context, dir string, p Process, streams Streams) (Exit, error) {
	p.Status = filepath.Join(dir, recordStatus)
	var pipes Pipes
	defer pipes.Close()
	if err := pipes.Connect(&p, streams); err != nil {
		return Exit{}, err
	}
	confined, err := s.Start(p, func(h Handle) error {
		text, err := json.Marshal(h)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, recordHandle), text, 0o600)
	})
	pipes.Started()
	if err != nil {
		pipes.Drain()
		return Exit{}, err
	}
	exit, err := confined.Wait(ctx)
	pipes.Drain()
	return exit, err
}

// EndRecorded ends the process of a RunRecorded of an earlier platform, if it
// still runs, and reports whether it did.
func (s *Sandbox) EndRecorded(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, recordHandle))
	if err != nil {
		return false // it was never let go
	}
	var handle Handle
	if err := json.Unmarshal(text, &handle); err != nil {
		return false
	}
	confined, _, err := s.Adopt(handle)
	if err != nil {
		return false
	}
	confined.Kill()
	return true
}
