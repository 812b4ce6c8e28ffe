package h2

import (
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What RFC 9113, 6.5.2 and 6.9.2 say holds before anybody has said anything.
const (
	firstWindow = 65535
	frameSize   = 16384
	mostWindow  = 1<<31 - 1
)

// Conn is one connection. All methods are safe for concurrent use.
type Conn struct {
	nc     net.Conn
	opt    Options
	client bool // we are it
	serve  func(*Stream)
	began  time.Time

	// Of the reading goroutine.
	in     *intake // nil: it waits for a frame, and holds nothing
	await  func() error
	waits  atomic.Bool   // it does, and nobody has woken it: see Rest
	frames atomic.Uint32 // that have begun to come
	dec    *hpack.Decoder
	into   *block // where dec puts fields
	spare  block  // for blocks that no stream keeps
	open   opening
	met    bool // the preface has come
	first  bool // SETTINGS have
	closed history

	refusal  error // it is not served at all
	handlers sync.WaitGroup
	wake     chan struct{} // holds a token when there is something to write
	written  chan struct{} // closed when nothing is written any more
	timer    *time.Timer

	mu       sync.Mutex // guards the rest
	out, old []byte     // what waits to be written, and the buffer before it
	tail     int        // where the last DATA frame in out is, up to tailEnd, and whose
	tailEnd  int
	tailOf   *Stream
	writes   bool      // there is a writer
	busy     bool      // somebody writes just now
	rest     bool      // it shall end for now
	parked   bool      // nothing of it runs: see Options.Park
	writing  time.Time // since when a write has been under way
	heading  time.Time // since when a block has been under way
	idle     time.Time // since when there has been no stream
	seen     uint32    // frames, when it was looked at last: see hangs
	seenAt   time.Time // since when there have been as many
	send     int       // what the peer's window takes
	recv     int       // what ours takes
	buffered int       // of all streams, not read
	queue    []*Stream // wait for the window, or to write
	streams  map[uint32]*Stream
	zombies  int            // streams that ended before their handlers have noticed
	running  int            // handlers
	hands    []chan *Stream // goroutines that wait for another stream: see work
	free     []*Stream      // to be used again
	last     uint32         // the highest stream of the peer's, or of ours if client
	resets   budget
	controls budget
	leaving  leaving
	err      error // why it ended
	closing  bool  // nothing is written after what waits
	peer     settings
	window   int    // initial one of streams that we send on
	slots    func() // a client's: told when there may be place for another stream
}

// settings are the peer's, as far as they concern us.
type settings struct {
	streams uint32
	frame   int
}

// leaving is how far a connection has gone towards its end.
type leaving struct {
	asked bool   // the first GOAWAY is written, or the server's has come
	final bool   // the last is
	last  uint32 // the stream that it names
}

// history remembers how the last streams ended.
type history struct {
	ids [128]uint32
	how [128]ending
	at  int
}

type ending uint8

const (
	unknown ending = iota
	ended          // both sides were done
	resetByUs
	resetByPeer
)

func (h *history) add(id uint32, how ending) {
	h.ids[h.at], h.how[h.at] = id, how
	h.at = (h.at + 1) % len(h.ids)
}

func (h *history) find(id uint32) ending {
	if i := slices.Index(h.ids[:], id); i >= 0 {
		return h.how[i]
	}
	return unknown
}

func newConn(nc net.Conn, opt Options, client bool) *Conn {
	c := &Conn{
		nc: nc, opt: opt.withDefaults(), client: client, began: time.Now(),
		wake: make(chan struct{}, 1), written: make(chan struct{}), streams: map[uint32]*Stream{},
		send: firstWindow, recv: firstWindow, window: firstWindow,
		peer: settings{streams: 100, frame: frameSize},
	}
	c.idle, c.seenAt = c.began, c.began
	c.resets, c.controls = newBudget(c.opt.Resets, 10), newBudget(c.opt.Controls, 100)
	if waits, ok := nc.(interface{ Await() error }); ok {
		c.await = waits.Await
	}
	c.dec = hpack.NewDecoder(4096, func(f hpack.HeaderField) { c.into.add(f) })
	c.dec.SetMaxStringLength(4 * c.opt.HeaderList) // as of a block
	return c
}

// NewConn makes a client's connection ready, which begins with the preface of
// HTTP/2 (RFC 9113, 3.4). Serve is called for each request in a goroutine of its
// own; when it returns, nobody may use the stream any more. Nothing runs before
// Conn.Serve.
func NewConn(nc net.Conn, opt Options, serve func(*Stream)) *Conn {
	c := newConn(nc, opt, false)
	c.serve = serve
	return c
}

// Serve reads the connection until it ends and every request has; it closes
// it. An error is a rule that the client broke, or ErrParked.
func (c *Conn) Serve() error {
	if !c.goesOn() {
		c.begin()
	}
	err := c.refusal
	if err == nil {
		err = c.readAll()
	}
	if err == ErrParked { //nolint:errorlint // nobody wraps it; the connection may be another's already
		return err
	}
	c.end(err)
	c.handlers.Wait()
	if mistake, ok := errors.AsType[*connError](c.err); ok {
		return mistake
	}
	return nil // whatever cut it off
}

// Refuse has Serve do no more than tell the client why not.
func (c *Conn) Refuse(code Code, clause, reason string) { c.refusal = &connError{code, clause, reason} }

// begin sends what comes first and starts the writer and the clock.
func (c *Conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.appendFirst(nil), c.out...) // it may have been told to leave already
	c.recv = min(c.opt.Buffered, mostWindow)
	c.timer = time.AfterFunc(c.tick(), c.check)
	c.poke()
}

func (c *Conn) appendFirst(dst []byte) []byte {
	first := []http2.Setting{
		{ID: http2.SettingInitialWindowSize, Val: uint32(c.opt.StreamWindow)}, //nolint:gosec // an operator's word
		{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.opt.HeaderList)},   //nolint:gosec // likewise
	}
	if c.client {
		dst = append(dst, http2.ClientPreface...)
		first = append(first, http2.Setting{ID: http2.SettingEnablePush, Val: 0})
	} else {
		first = append(first,
			http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(c.opt.MaxStreams)}, //nolint:gosec // likewise
			http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1},
			http2.Setting{ID: http2.SettingNoRFC7540Priorities, Val: 1})
	}
	dst = appendSettings(dst, first...)
	if more := c.opt.Buffered - firstWindow; more > 0 {
		dst = appendWindow(dst, 0, more)
	}
	return dst
}

// readAll reads frames until there are no more, or one breaks a rule of the
// connection.
func (c *Conn) readAll() (err error) {
	if c.opt.Bug != nil {
		defer func() {
			if bug := recover(); bug != nil {
				c.opt.Bug(bug)
				err = &connError{Internal, "5.4.1", "a frame was not understood"}
			}
		}()
	}
	if !c.met {
		if err := c.meet(); err != nil {
			return err
		}
	}
	for {
		err := c.readFrame()
		if _, ok := errors.AsType[*streamError](err); ok {
			continue // dealt with
		}
		if err != nil {
			return err
		}
	}
}

// meet reads what comes before the first frame.
func (c *Conn) meet() error {
	c.met = true
	_ = c.nc.SetReadDeadline(time.Now().Add(c.opt.HeaderTimeout)) // one that fails fails the read
	if c.client {
		return nil
	}
	if err := c.ready(); err != nil {
		return err
	}
	var preface [len(http2.ClientPreface)]byte
	if _, err := io.ReadFull(c.in.rd, preface[:]); err != nil {
		return err
	}
	if string(preface[:]) != http2.ClientPreface {
		return protocol("3.4", "the connection does not begin with the preface")
	}
	return nil
}

// end tells the peer of its mistake, if it was one, waits until that is
// written and closes the connection.
func (c *Conn) end(err error) {
	c.fail(err)
	<-c.written
	if _, ok := errors.AsType[*connError](err); ok {
		c.linger()
	}
	c.timer.Stop()
	_ = c.nc.Close() // nobody is there to hear of it
}

// lingering is how long, and how much, a peer that was told to go may go on
// before its connection is cut; cut at once, it would lose what it was told.
const (
	lingering = time.Second
	lingers   = 1 << 20
)

func (c *Conn) linger() {
	_ = c.nc.SetReadDeadline(time.Now().Add(lingering))
	_, _ = io.CopyN(io.Discard, c.nc, lingers)
}

// fail ends all streams. A connection that broke a rule is told so.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

// failLocked is fail for who has the lock.
func (c *Conn) failLocked(err error) {
	if c.err != nil {
		return
	}
	if err == nil {
		err = io.EOF
	}
	c.err = err
	var mistake *connError
	switch {
	case errors.As(err, &mistake):
		c.out = appendGoAway(c.out, c.lastServed(), mistake.code, mistake.reason)
	case !c.closing:
		c.out = nil
		_ = c.nc.SetDeadline(longAgo) // reader and writer may hang in it
	}
	c.closing = true
	for _, s := range c.streams {
		c.drop(s, ErrClosed)
		c.forget(s)
	}
	c.poke()
	c.dismiss()
}

var longAgo = time.Unix(1, 0)

// lastServed is what a GOAWAY says we may have looked at.
func (c *Conn) lastServed() uint32 {
	switch {
	case c.client:
		return 0 // the peer has opened none
	case c.leaving.final:
		return c.leaving.last
	}
	return c.last
}

// Close cuts the connection off; Serve returns once its requests have noticed.
func (c *Conn) Close() {
	c.fail(net.ErrClosed)
	_ = c.nc.Close()
}

// poke has the writer look, but not before begin. c.mu is held.
func (c *Conn) poke() {
	c.unpark()
	if !c.writes && c.timer != nil {
		c.writes = true
		go c.write()
	}
	signal(c.wake)
}

// write is the writing goroutine, which there is while there may be something
// to write.
func (c *Conn) write() {
	for range c.wake {
		runtime.Gosched() // whoever is about to write as well
		if c.writeOut() {
			close(c.written)
			return
		}
		if c.goesToRest() {
			return // until poke
		}
	}
}

// writeOut writes what there is, unless somebody else does. It reports whether
// nothing will be written any more.
func (c *Conn) writeOut() (over bool) {
	for {
		buf, over := c.take()
		if len(buf) == 0 {
			if over {
				c.shut()
			}
			return over
		}
		if _, err := c.nc.Write(buf); err != nil {
			c.fail(err)
		}
		c.give(buf)
	}
}

// pump has what was sent go out by who calls, which spares another goroutine's
// turn. Where somebody writes already, he takes this along.
func (c *Conn) pump() {
	c.mu.Lock()
	mine := !c.client && !c.busy && !c.closing
	if !mine {
		c.poke()
	}
	idle, alone := len(c.out) == 0, c.running < 2
	c.mu.Unlock()
	if mine && !idle {
		if !alone {
			runtime.Gosched() // whoever is about to write as well
		}
		c.writeOut()
	}
}

// goesToRest reports whether the writer was asked to end, and may.
func (c *Conn) goesToRest() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := c.rest && len(c.out) == 0 && !c.closing
	c.rest = false
	if rest {
		c.writes = false
	}
	return rest
}

// take is what there is to be written; over, that nothing will follow.
func (c *Conn) take() (buf []byte, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy {
		return nil, false
	}
	if len(c.out) == 0 {
		return nil, c.closing
	}
	c.busy = true
	buf = c.out
	c.out, c.old, c.tailOf = c.old, nil, nil
	if c.closing {
		_ = c.nc.SetWriteDeadline(time.Now().Add(farewell))
	}
	c.writing = time.Now()
	c.next()
	return buf, false
}

// farewell is how long the last write may take.
const farewell = 5 * time.Second

// give takes a written buffer back. One that was large is let go, and so are
// both when nothing is under way.
func (c *Conn) give(buf []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing, c.busy = time.Time{}, false
	if c.closing {
		c.poke() // the writer shuts
	}
	c.old = buf[:0]
	if cap(buf) > 4*mostOut {
		c.old = nil
	}
	if len(c.streams) == 0 && len(c.out) == 0 {
		putBuffer(c.out)
		putBuffer(c.old)
		c.out, c.old = nil, nil
	}
}

// buffers are what connections write from; a quiet one has none.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

func putBuffer(buf []byte) {
	if cap(buf) > 0 && cap(buf) <= 4*mostOut {
		buffers.Put(&buf)
	}
}

// buffer is what is to be written, for appending.
func (c *Conn) buffer() []byte {
	if c.out == nil {
		c.out = (*buffers.Get().(*[]byte))[:0] // nothing else is in there
	}
	return c.out
}

// shut ends our side of the connection; the reader has a moment to see the end
// of the peer's.
func (c *Conn) shut() {
	_ = c.nc.SetReadDeadline(time.Now().Add(lingering))
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // closed already is as good
		return
	}
	_ = c.nc.Close()
}

// tick is when the clock is looked at next: often, but for who is parked.
func (c *Conn) tick() time.Duration {
	if c.parked {
		return c.opt.IdleTimeout - time.Since(c.idle)
	}
	return max(min(c.opt.IdleTimeout, c.opt.HeaderTimeout, c.opt.WriteTimeout)/2, time.Millisecond)
}

// check ends what takes too long.
func (c *Conn) check() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case c.err != nil:
		return
	case !c.writing.IsZero() && now.Sub(c.writing) >= c.opt.WriteTimeout:
		_ = c.nc.SetDeadline(longAgo) // which fails the write, and that the rest
		return
	case !c.heading.IsZero() && now.Sub(c.heading) >= c.opt.HeaderTimeout:
		c.failLocked(&connError{Calm, "4.3", "a head took too long"})
		_ = c.nc.SetReadDeadline(now) // wake the reader
		return
	case len(c.streams) == 0 && c.zombies == 0 && !c.closing && (c.hangs(now) || now.Sub(c.idle) >= c.opt.IdleTimeout):
		c.goAway(c.last)
		c.finishLeaving()
	case now.Sub(c.idle) >= time.Second:
		c.strip()
	}
	c.timer.Reset(c.tick())
}

// hangs reports whether a frame has been on its way for longer than a head may
// take: a part of one, or of a record of TLS, would keep all that reading takes for
// nothing. It is asked at each look while nothing else is under way.
func (c *Conn) hangs(now time.Time) bool {
	if frames := c.frames.Load(); c.await == nil || c.waits.Load() || frames != c.seen {
		c.seen, c.seenAt = frames, now
	}
	return now.Sub(c.seenAt) >= c.opt.HeaderTimeout
}

// strip lets go of what is kept for further requests, if there are none now.
func (c *Conn) strip() {
	if c.running > 0 {
		return
	}
	c.dismiss()
	if c.writes {
		c.rest = true
		signal(c.wake)
	}
}

// Drain ends the connection in order: the client is told to open no more
// requests (RFC 9113, 6.8), those that it had sent by then are served, and when
// the last has ended so does the connection. It returns at once.
func (c *Conn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving.asked || c.closing {
		return
	}
	if c.client { // the peer opens none
		c.goAway(0)
		c.finishLeaving()
		return
	}
	c.leaving.asked = true
	c.out = appendGoAway(c.out, mostWindow, NoError, "")
	c.out = appendPing(c.out, 0, drainPing)
	c.poke()
	time.AfterFunc(drainPatience, c.drained)
}

// drainPing is answered by a client that has seen the GOAWAY before it.
var drainPing = [8]byte{'d', 'r', 'a', 'i', 'n', 'e', 'd', '?'}

// drainPatience is how long a client has for that.
const drainPatience = time.Second

// drained is the second step: what the client sent before it knew is here.
func (c *Conn) drained() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving.final || c.closing {
		return
	}
	c.goAway(c.last)
	c.finishLeaving()
}

func (c *Conn) goAway(last uint32) {
	c.leaving = leaving{asked: true, final: true, last: last}
	if c.client {
		last = 0
	}
	c.out = appendGoAway(c.out, last, NoError, "")
	c.poke()
}

// finishLeaving closes the connection if it was to be and nothing is open.
func (c *Conn) finishLeaving() {
	if c.leaving.final && len(c.streams) == 0 && !c.closing {
		c.closing = true
		c.poke()
	}
}

// Streams is how many requests are under way.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}
