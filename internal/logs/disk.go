package logs

import (
	"log/slog"
	"sync"
)

// disk counts what could not be written, over all streams, and says so once
// when it begins and once when it is over.
type disk struct {
	log *slog.Logger

	mu      sync.Mutex
	dropped int
}

func (d *disk) failed(lines int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dropped == 0 {
		d.log.Error("log lines dropped: the disk does not take them; free some space", "err", err)
	}
	d.dropped += lines
}

func (d *disk) wrote() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dropped > 0 {
		d.log.Info("log lines written again", "dropped", d.dropped)
		d.dropped = 0
	}
}
