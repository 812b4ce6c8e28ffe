package images

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// story tells how far a copy has come, to people.
type story struct {
	out    io.Writer
	host   string
	layers int
	size   int64

	done  atomic.Int64 // layers
	bytes atomic.Int64

	stop chan struct{}
	told sync.WaitGroup
}

// tell begins to say how far a copy has come, every so often.
func tell(out io.Writer, host string, d *document, every time.Duration) *story {
	s := &story{out: out, host: host, layers: len(d.Layers), size: d.size(), stop: make(chan struct{})}
	s.told.Go(func() {
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				fmt.Fprintf(s.out, "%s: %d of %d layers, %s of %s\n", s.host, s.done.Load(), s.layers, sizeText(min(s.bytes.Load(), s.size)), sizeText(s.size))
			case <-s.stop:
				return
			}
		}
	})
	return s
}

func (s *story) end() {
	close(s.stop)
	s.told.Wait()
}

// counted is a reader whose bytes the story tells of.
type counted struct {
	io.Reader
	bytes *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func layersText(n int) string {
	if n == 1 {
		return "1 layer"
	}
	return fmt.Sprintf("%d layers", n)
}
