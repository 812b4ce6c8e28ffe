package h2

import (
	"bufio"
	"io"
	"sync"

	"golang.org/x/net/http2"
)

// intake is what frames are read by. A connection that waits for one has none,
// if what is below it can wait without a buffer: has a method Await, which
// returns once Read will not wait, or fails.
type intake struct {
	rd *bufio.Reader
	fr *http2.Framer
}

var intakes = sync.Pool{New: func() any {
	rd := bufio.NewReader(nil)
	in := &intake{rd, http2.NewFramer(io.Discard, rd)}
	in.fr.SetReuseFrames()
	in.fr.SetMaxReadFrameSize(frameSize)
	return in
}}

// ready waits until there is something of a frame to read, and an intake.
func (c *Conn) ready() error {
	switch {
	case c.in == nil:
	case c.await == nil, c.in.rd.Buffered() > 0, c.open.going: // the framer knows of a block that goes on
		return nil
	default:
		c.in.rd.Reset(nil)
		intakes.Put(c.in)
		c.in = nil
	}
	if c.await != nil {
		if err := c.wait(); err != nil {
			return err
		}
	}
	c.in = intakes.Get().(*intake) //nolint:forcetypeassert // nothing else is in there
	c.in.rd.Reset(c.nc)
	return nil
}
