package router

import (
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// mirrored compares the answers to copied requests with those that clients got.
type mirrored struct {
	compared, dropped, status, size, failed atomic.Int64
	old, new                                histogram
}

func (m *mirrored) count() platform.MirrorCount {
	return platform.MirrorCount{
		Compared: m.compared.Load(), Dropped: m.dropped.Load(), Status: m.status.Load(), Size: m.size.Load(),
		Failed: m.failed.Load(), P99Old: quantile(0.99, &m.old), P99New: quantile(0.99, &m.new),
	}
}

// answered is what is compared of an answer.
type answered struct {
	status  int
	size    int64
	latency time.Duration
}

// compare counts one copied request.
func (m *mirrored) compare(was, is answered) {
	m.compared.Add(1)
	if was.status/100 != is.status/100 {
		m.status.Add(1)
		if is.status >= 500 {
			m.failed.Add(1)
		}
	} else if was.size != is.size {
		m.size.Add(1)
	}
	m.old.add(was.latency)
	m.new.add(is.latency)
}
