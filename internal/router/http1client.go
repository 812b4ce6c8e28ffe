package router

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
)

// inward as a client: see client.go.

func (c *inward) whole() (body []byte, ok bool) { return c.all, c.all != nil }

// next brings more of the body. The head stays where it is, so the first that
// is read goes into another buffer.
func (c *inward) next() ([]byte, error) {
	if !c.begun {
		c.begun = true
		c.part()
	}
	if hasten := !c.framing.ready(&c.wire) && !c.x.app.patient(); hasten {
		c.inDue.CompareAndSwap(0, c.from(c.inLeft))
	}
	before := c.router.watch.now()
	data, err := c.framing.next(&c.wire)
	// Its time may have been found to be over just when more came.
	if late := errors.Is(err, os.ErrDeadlineExceeded); c.settleIn(before, len(data)) && err != nil && !errors.Is(err, io.EOF) || late {
		err = errSlow
	}
	switch {
	case c.framing.done:
		c.rest.Store(0)
	case err != nil:
		c.rest.Store(math.MaxInt64) // nobody knows where it ends
	default:
		c.rest.Store(c.framing.left)
	}
	return data, err
}

// part leaves the head in its buffer and takes another for the body.
func (c *inward) part() {
	rest := c.buffered()
	c.putHead()
	c.head = c.slab
	c.slab, c.data = nil, nil
	c.r, c.w = 0, 0
	if len(rest) == 0 {
		return
	}
	c.room()
	if len(rest) > len(c.data) {
		c.slabs.put(c.slab)
		c.slab, c.data = nil, make([]byte, len(rest))
	}
	c.w = copy(c.data, rest)
}

func (c *inward) putHead() {
	c.slabs.put(c.head)
	c.head = nil
}

// settleIn ends that reading is watched, and reports whether it took too long.
func (c *inward) settleIn(before time.Duration, n int) (slow bool) {
	if c.inDue.Swap(0) < 0 {
		return true
	}
	grace := c.router.opt.RateGrace
	c.inLeft -= c.router.watch.now() - before
	c.inLeft = min(grace, c.inLeft+time.Duration(n)*time.Second/time.Duration(c.router.opt.MinRate))
	return false
}

func (c *inward) trailers() []byte { return c.framing.trailers() }

// patience bounds how long the rest of a body that nobody wants is waited for,
// and for how much of it.
const (
	drainTime  = 500 * time.Millisecond
	drainBytes = 64 << 10
)

func (c *inward) hurry() {
	c.hurried.Store(true)
	_ = c.conn.SetReadDeadline(time.Now().Add(drainTime))
}

func (c *inward) interim(res *h1.Response) error {
	if res.Status == 100 {
		c.waits = false
	}
	c.hold()
	c.out = h1.AppendResponse(c.out, res, h1.Back{Bodiless: true})
	return c.flush()
}

func (c *inward) answer(res *h1.Response, back *h1.Back) error {
	back.Close = back.Close || c.req.Close || c.broken || !c.mayRest()
	c.chunked, c.unended = frame(back, c.req.Minor)
	c.final = back.Close
	c.talking.Store(true)
	c.hold()
	c.out = h1.AppendResponse(c.out, res, *back)
	return nil
}

// mayRest reports whether what is left of the request's body may be read after
// the answer: a client that still waits to be told to send it may send it, or not.
func (c *inward) mayRest() bool {
	rest := c.rest.Load()
	return rest == 0 || !c.waits && rest <= drainBytes
}

// hold takes a buffer for what is sent.
func (c *inward) hold() {
	if c.outSlab == nil {
		c.outSlab = c.slabs.get()
		c.out = c.outSlab[:0]
	}
}

// chunkRoom is what a chunk has besides its data, at most.
const chunkRoom = 12

func (c *inward) write(p []byte) error {
	c.hold()
	for len(p) > 0 {
		if !c.chunked && len(c.out) == 0 && len(p) >= slabSize/4 {
			return c.put(p)
		}
		if c.chunked && len(p) >= 2*slabSize {
			return c.bulk(p)
		}
		room := slabSize - len(c.out)
		if c.chunked {
			room -= chunkRoom
		}
		if room <= slabSize/16 {
			if err := c.send(); err != nil {
				return err
			}
			continue
		}
		piece := p[:min(room, len(p))]
		if p = p[len(piece):]; c.chunked {
			c.out = h1.AppendChunkHead(c.out, len(piece))
		}
		if c.out = append(c.out, piece...); c.chunked {
			c.out = append(c.out, '\r', '\n')
		}
	}
	return nil
}

// bulk writes a chunk that is not worth copying.
func (c *inward) bulk(p []byte) error {
	c.out = h1.AppendChunkHead(c.out, len(p))
	if err := c.send(); err != nil {
		return err
	}
	if err := c.put(p); err != nil {
		return err
	}
	c.out = append(c.out, '\r', '\n')
	return nil
}

func (c *inward) end(trailers []byte) error {
	if c.chunked {
		c.hold()
		c.out = h1.AppendChunksEnd(c.out, trailers)
	}
	return nil
}

// flush sends what was kept back, and gives the buffer back: it may take long
// until there is more.
func (c *inward) flush() error {
	if c.outSlab == nil {
		return nil
	}
	err := c.send()
	c.slabs.put(c.outSlab)
	c.outSlab, c.out = nil, nil
	return err
}

func (c *inward) send() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.put(c.out)
	c.out = c.outSlab[:0]
	return err
}

// put writes to the client, who may not take too long to take it: see look.
func (c *inward) put(p []byte) error {
	c.writes.Store(max(1, int64(c.router.watch.now())))
	_, err := c.conn.Write(p)
	c.writes.Store(0)
	c.broken = c.broken || err != nil
	return err
}

func (c *inward) tunnel() *wire {
	c.given.Store(true)
	_ = withSocket(c.socket, func(fd int) { setUnheard(fd, 0) })
	c.broken = true
	c.router.watch.changed()
	return &c.wire
}

// abort closes the connection so that the client cannot take what it got for
// all there is.
func (c *inward) abort() {
	_ = c.flush()
	c.broken = true
	if tcp, ok := c.conn.(*net.TCPConn); ok && c.unended {
		_ = tcp.SetLinger(0)
	}
	_ = closeBare(c.conn)
}

func (c *inward) gone() <-chan struct{} {
	c.leftMu.Lock()
	defer c.leftMu.Unlock()
	if c.left == nil {
		c.left = make(chan struct{})
		if c.away {
			close(c.left)
		}
	}
	return c.left
}

// leaves says that the client has left.
func (c *inward) leaves() {
	c.leftMu.Lock()
	if !c.away {
		c.away = true
		if c.left != nil {
			close(c.left)
		}
	}
	c.leftMu.Unlock()
	c.x.interrupt(errGone)
}
