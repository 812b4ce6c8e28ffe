package h2

import (
	"io"
	"slices"
	"time"

	"golang.org/x/net/http2"

	"github.com/slipway-paas/slipway/internal/h1"
)

// Bounds of what waits to be written on a connection.
const (
	mostOut     = 64 << 10 // bodies and heads wait above it
	mostBacklog = 1 << 20  // a peer that makes us answer more has to leave
)

// Stream is one request and its answer. On a server's connection it begins
// with a request and is answered by Answer, Write and End; on a client's it is
// what Open returned, whose answer begins with Head. Body and trailers are the
// same on both. One goroutine may read while another writes.
type Stream struct {
	c       *Conn
	id      uint32
	request h1.Request    // a server's: what was asked
	refusal *h1.Error     // why it is not to be served; nil: it is
	block   block         // what the head's slices are parts of
	wake    chan struct{} // of who reads
	turn    chan struct{} // of who writes
	timer   *time.Timer   // of who writes

	// Guarded by c.mu.
	in       []byte // came and was not read
	lent     []byte // is being read
	rest     []byte // of it; the reader's own
	recv     int    // what our window takes
	window   int    // what it is when nothing lies unread
	left     int64  // of the body as it was declared, or negative
	trailers []byte
	ended    bool  // the peer is done
	err      error // why reading ended before that
	discard  bool  // nobody reads any more

	send    int  // what the peer's window takes
	done    bool // we are
	gone    error
	want    int       // bytes that wait for the connection's window
	queued  bool      // it is in c.queue
	called  bool      // it was let out of it
	since   time.Time // it has not got on since
	sent    int       // since then
	patient bool      // the peer may take as long as it likes
	deaf    bool      // the peer wants no more of us
	zombie  bool      // it ended before its handler noticed
	over    bool      // it is not in c.streams any more
	cancels []func()
	cancel  chan struct{}

	// A client's.
	method   []byte
	answer   h1.Response
	interims []*interim
	headed   bool
}

type interim struct {
	block  block
	answer h1.Response
}

func newStream(c *Conn, id uint32) *Stream {
	var s *Stream
	if last := len(c.free) - 1; last >= 0 {
		s, c.free = c.free[last], c.free[:last]
	} else {
		s = &Stream{c: c, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	}
	s.id, s.left = id, -1
	s.recv, s.window, s.send = c.opt.StreamWindow, c.opt.StreamWindow, c.window
	return s
}

// reuse keeps what a stream that nobody uses any more has made for another one.
func (c *Conn) reuse(s *Stream) {
	if len(c.free) == mostHands || cap(s.block.buf) > frameSize || !s.over || s.queued {
		return
	}
	select {
	case <-s.wake:
	default:
	}
	select {
	case <-s.turn:
	default:
	}
	if c.tailOf == s {
		c.tailOf = nil
	}
	s.request.Reset()
	*s = Stream{
		c: c, wake: s.wake, turn: s.turn, timer: s.timer, cancels: s.cancels,
		request: s.request, block: block{buf: s.block.buf, fields: s.block.fields},
	}
	c.free = append(c.free, s)
}

// Request is the head. It holds until the handler returns.
func (s *Stream) Request() *h1.Request { return &s.request }

// Refusal is not nil where the head is well-formed and is not to be served: the
// handler says so, by its status. What Request has then is not checked.
func (s *Stream) Refusal() *h1.Error { return s.refusal }

// ID is the stream's number on its connection.
func (s *Stream) ID() uint32 { return s.id }

// take keeps a piece of the body; n is what it takes of the window. c.mu is
// held, here and below where nothing else is said.
func (s *Stream) take(n int, data []byte, end bool) error {
	c := s.c
	switch {
	case s.ended:
		return &streamError{http2.ErrCodeStreamClosed, "5.1", "DATA comes after the end of the stream"}
	case c.client && !s.headed:
		return malformed("8.1", "DATA comes before the head")
	case n > s.recv:
		return &streamError{http2.ErrCodeFlowControl, "6.9.1", "the stream's window was not kept"}
	case s.left >= 0 && int64(len(data)) > s.left, end && s.left > int64(len(data)):
		return malformed("8.1.1", "the body is not as long as Content-Length says")
	}
	if s.left >= 0 {
		s.left -= int64(len(data))
	}
	s.recv -= len(data)
	if !s.discard {
		s.in = append(s.in, data...)
		c.buffered += len(data)
	}
	if end {
		s.end()
	} else if n > len(data) {
		s.recv -= n - len(data) // padding
		s.credit()
	}
	s.mayRead()
	return nil
}

// end is the peer's last word.
func (s *Stream) end() {
	s.ended = true
	s.c.settle(s)
}

// trailed takes trailers, with which the peer ends.
func (s *Stream) trailed(b *block, end bool) (err error) {
	switch {
	case s.ended:
		return &streamError{http2.ErrCodeStreamClosed, "5.1", "HEADERS come after the end of the stream"}
	case !end:
		return malformed("8.1", "trailers do not end the stream")
	case s.left > 0:
		return malformed("8.1.1", "the body is not as long as Content-Length says")
	}
	if s.trailers, err = b.trailers(s.trailers[:0], mostTrailers); err != nil {
		return err
	}
	s.end()
	s.mayRead()
	return nil
}

func (s *Stream) mayRead()  { signal(s.wake) }
func (s *Stream) mayWrite() { signal(s.turn) }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Next is what has come of the body since, and waits for something to come;
// io.EOF is its end, after which Trailers are there. The bytes hold until the
// next call, and count against the windows until then. A *ResetError says that
// the peer reset the stream, ErrClosed that the connection ended; what was not
// read by then is lost. (Takes the lock, as all exported methods do.)
func (s *Stream) Next() ([]byte, error) {
	for {
		if data, err := s.next(); len(data) > 0 || err != nil {
			return data, err
		}
		<-s.wake
	}
}

func (s *Stream) next() ([]byte, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	s.consumed()
	switch {
	case s.err != nil:
		return nil, s.err
	case len(s.in) > 0:
		s.in, s.lent = s.lent[:0], s.in
		return s.lent, nil
	case s.ended:
		return nil, io.EOF
	}
	return nil, nil
}

// Read is Next with a copy.
func (s *Stream) Read(p []byte) (n int, err error) {
	if len(s.rest) == 0 {
		if s.rest, err = s.Next(); err != nil {
			return 0, err
		}
	}
	n = copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Ready reports whether Next will not wait.
func (s *Stream) Ready() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return len(s.in) > 0 || s.ended || s.err != nil
}

// consumed opens the windows for what was lent.
func (s *Stream) consumed() {
	n := len(s.lent)
	if n == 0 {
		return
	}
	s.c.buffered -= n
	s.lent = s.lent[:0]
	if len(s.in) == 0 && n > s.window/2 && s.c.buffered < s.c.opt.Buffered/4 {
		s.window = min(2*s.window, s.c.opt.MaxWindow) // it is read faster than it comes
	}
	s.credit()
	s.c.credit()
}

func (s *Stream) credit() {
	due := s.window - len(s.in) - len(s.lent) - s.recv
	if s.ended || s.over || s.err != nil || due < s.window/2 {
		return
	}
	s.recv += due
	s.c.out = appendWindow(s.c.out, s.id, due)
	s.c.poke()
}

// Trailers are the fields after the body, as lines, once Read has said io.EOF.
func (s *Stream) Trailers() []byte { return s.trailers }

// Err is nil until the stream was cut off: by its peer, by the end of the
// connection, or by Reset.
func (s *Stream) Err() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.gone
}

// Done is closed when the stream is cut off.
func (s *Stream) Done() <-chan struct{} {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.cancel == nil {
		s.cancel = make(chan struct{})
		if s.gone != nil {
			close(s.cancel)
		}
	}
	return s.cancel
}

// OnCancel has f called once if the stream is cut off, at once if it was. It
// must not block, nor call any stream of this connection.
func (s *Stream) OnCancel(f func()) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.gone != nil {
		f()
		return
	}
	s.cancels = append(s.cancels, f)
}

// OffCancel takes back what OnCancel was told: from then on nothing of it is
// called, nor is being called. A request whose body was not wanted to its end is cut
// off only after its handler has returned.
func (s *Stream) OffCancel() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	clear(s.cancels)
	s.cancels = s.cancels[:0]
}

// Patient lets the peer keep its window shut as long as it likes.
func (s *Stream) Patient() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.patient = true
}

// StopReading has Next fail with err from now on, and drops what comes.
func (s *Stream) StopReading(err error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	s.c.discard(s)
	s.c.credit()
	s.mayRead()
}

// Whole is the body, if all of it is there and no trailers follow: it holds
// until the handler returns.
func (s *Stream) Whole() ([]byte, bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if !s.ended || s.err != nil || len(s.trailers) > 0 || len(s.lent) > 0 {
		return nil, false
	}
	s.in, s.lent = nil, s.in
	return s.lent, true
}

// Answer sends a head; more may follow an interim one. A body follows if
// back.Bodiless is not set, unless back.Length is 0. What is sent waits for
// Flush, End or a full buffer.
func (s *Stream) Answer(r *h1.Response, back h1.Back) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.room(s, 0); err != nil {
		return err
	}
	end := !r.Interim() && r.Status != 101 && (back.Bodiless || back.Length == 0)
	dst, at := beginHeaders(c.buffer())
	c.out = endHeaders(appendResponse(dst, r, back), at, s.id, end, c.peer.frame)
	if end {
		s.finish()
	}
	return nil
}

// Write sends a piece of the body. It blocks while the peer does not take it.
func (s *Stream) Write(p []byte) (n int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(p) > 0 {
		took, err := c.room(s, len(p))
		if err != nil {
			return n, err
		}
		s.put(p[:took], false)
		p, n = p[took:], n+took
	}
	s.since, s.sent = time.Time{}, 0
	return n, nil
}

// WriteEnd is Write of the last piece and End in one.
func (s *Stream) WriteEnd(p []byte) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		took, err := c.room(s, len(p))
		if err != nil {
			return err
		}
		s.put(p[:took], took == len(p))
		if p = p[took:]; len(p) == 0 {
			s.finish()
			c.poke()
			return nil
		}
	}
}

// put appends one DATA frame.
func (s *Stream) put(p []byte, end bool) {
	c := s.c
	var flags http2.Flags
	if end {
		flags = http2.FlagDataEndStream
	}
	c.tail, c.tailOf = len(c.out), s
	c.out = append(appendFrame(c.buffer(), len(p), http2.FrameData, flags, s.id), p...)
	c.tailEnd = len(c.out)
	c.send -= len(p)
	s.send -= len(p)
	if s.sent += len(p); s.sent >= 1<<10 {
		s.since, s.sent = time.Time{}, 0
	}
	c.controls.earn(1 + len(p)/512)
	if len(c.out) >= frameSize {
		c.poke()
	}
}

// Flush has what was sent go out.
func (s *Stream) Flush() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.poke()
}

// End ends our side, with trailers that are lines, or none.
func (s *Stream) End(trailers []byte) error {
	err := s.putEnd(trailers)
	if err == nil {
		s.c.pump()
	}
	return err
}

func (s *Stream) putEnd(trailers []byte) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.room(s, 0); err != nil {
		return err
	}
	switch {
	case len(trailers) > 0:
		dst, at := beginHeaders(c.buffer())
		c.out = endHeaders(appendLines(dst, trailers), at, s.id, true, c.peer.frame)
	case c.tailOf == s && c.tailEnd == len(c.out):
		c.out[c.tail+4] |= byte(http2.FlagDataEndStream) // the last piece is not on its way yet
	default:
		s.put(nil, true)
	}
	s.finish()
	return nil
}

// finish notes that we are done.
func (s *Stream) finish() {
	s.done = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.c.settle(s)
}

// Reset cuts the stream off. One that is done is left as it is.
func (s *Stream) Reset(code Code) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset(s, code, &ResetError{code, false})
}

// room waits until s may send want bytes, or some of them, and says how many.
// While others wait their turns come first: each gets one frame at a time.
func (c *Conn) room(s *Stream, want int) (int, error) {
	for {
		own := want == 0 || s.send > 0
		switch {
		case s.gone != nil:
			c.next()
			return 0, s.gone
		case s.done, s.deaf:
			c.next()
			return 0, ErrAnswered
		case !own:
			c.next() // the turn is another's
		case len(c.out) < mostOut && (want == 0 || c.send > 0) && (s.called || len(c.queue) == 0):
			s.called = false
			n := 0
			if want > 0 {
				n = min(want, s.send, c.send, c.peer.frame)
			}
			c.next() // there may be place for another
			return n, nil
		default:
			c.enqueue(s, want)
		}
		if err := c.sleep(s); err != nil {
			return 0, err
		}
	}
}

func (c *Conn) enqueue(s *Stream, want int) {
	s.called, s.want = false, want
	if !s.queued {
		s.queued = true
		c.queue = append(c.queue, s)
	}
	c.poke() // what is to be written may be what it waits for
}

// next lets the first of those that wait and may send go on.
func (c *Conn) next() {
	if len(c.out) >= mostOut {
		return
	}
	for i, s := range c.queue {
		if s.want == 0 || c.send > 0 {
			c.queue = append(c.queue[:i], c.queue[i+1:]...)
			s.queued, s.called = false, true
			s.mayWrite()
			return
		}
	}
}

// sleep waits for a window or a turn, within bounds. c.mu is held but while it
// waits.
func (c *Conn) sleep(s *Stream) error {
	now := time.Now()
	if s.since.IsZero() {
		s.since, s.sent = now, 0
	}
	left := c.opt.StallTimeout - now.Sub(s.since)
	if s.patient {
		left = time.Hour
	}
	if s.timer == nil {
		s.timer = time.NewTimer(left)
	} else {
		s.timer.Reset(left)
	}
	c.poke() // nobody flushes meanwhile
	c.mu.Unlock()
	stalled := false
	select {
	case <-s.turn:
	case <-s.timer.C:
		stalled = true
	}
	c.mu.Lock()
	s.timer.Stop()
	if stalled && !s.patient && s.gone == nil {
		c.reset(s, Cancel, ErrStalled)
		c.next() // its turn may be another's now
		return ErrStalled
	}
	return nil
}

// started counts a handler.
func (c *Conn) started() {
	if c.running++; c.running == 1 && c.opt.Quiet != nil {
		c.opt.Quiet(false)
	}
}

// mostHands is how many goroutines of a connection wait for requests to come:
// one that has served some has a stack that is large enough.
const mostHands = 16

// work serves s, and then others.
func (c *Conn) work(s *Stream) {
	next := make(chan *Stream, 1)
	for s != nil {
		c.serve(s)
		if !c.finish(s, next) {
			return
		}
		s = <-next
	}
}

// finish takes leave of a stream whose handler has returned: what is not done
// by now will not be. It reports whether next will be told of another stream,
// or of none by its end.
func (c *Conn) finish(s *Stream, next chan *Stream) bool {
	c.mu.Lock()
	c.release(s)
	c.mu.Unlock()
	c.pump()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running--; c.running == 0 {
		c.idle = time.Now()
		if c.opt.Quiet != nil {
			c.opt.Quiet(true)
		}
	}
	if c.err != nil || c.closing || len(c.hands) == mostHands {
		return false
	}
	c.hands = append(c.hands, next)
	c.reuse(s)
	return true
}

// dismiss lets those go that wait for requests, and what is kept for them.
func (c *Conn) dismiss() {
	for _, next := range c.hands {
		close(next)
	}
	c.hands, c.free = nil, nil
}

// release ends what is left of a stream that nobody uses any more.
func (c *Conn) release(s *Stream) {
	switch {
	case s.over:
	case !s.done:
		c.reset(s, Internal, &ResetError{Internal, false})
	default: // the rest of the request is of no use: RFC 9113, 8.1
		c.reset(s, NoError, &ResetError{NoError, false})
	}
	c.discard(s)
	c.buffered -= len(s.lent)
	s.lent, s.rest = nil, nil
	if s.zombie {
		s.zombie = false
		c.zombies--
	}
	clear(s.cancels)
	s.cancels = s.cancels[:0]
	c.credit()
}

// discard drops what came and was not read.
func (c *Conn) discard(s *Stream) {
	s.discard = true
	c.buffered -= len(s.in)
	s.in = nil
}

// settle takes leave of a stream that both sides have ended.
func (c *Conn) settle(s *Stream) {
	if s.over || !s.done || !s.ended {
		return
	}
	c.closed.add(s.id, ended)
	c.resets.earn(1)
	s.over = true
	c.remove(s)
}

// reset sends RST_STREAM, unless the stream has ended.
func (c *Conn) reset(s *Stream, code Code, err error) {
	if s.over || s.gone != nil {
		return
	}
	c.sendReset(s.id, code)
	c.drop(s, err)
	c.forget(s)
}

// drop tells those who use a stream that it has ended.
func (c *Conn) drop(s *Stream, err error) {
	if s.gone != nil {
		return
	}
	s.gone = err
	if !s.ended {
		s.err = err
		c.discard(s)
	}
	if s.cancel != nil {
		close(s.cancel)
	}
	for _, f := range s.cancels {
		f()
	}
	s.cancels = nil
	if s.queued {
		s.queued = false
		c.queue = slices.DeleteFunc(c.queue, func(other *Stream) bool { return other == s })
	}
	s.mayRead()
	s.mayWrite()
}

// forget takes a stream that was cut off out of those that are open.
func (c *Conn) forget(s *Stream) {
	if s.over {
		return
	}
	s.over = true
	if !c.client {
		s.zombie = true
		c.zombies++
	}
	c.remove(s)
}

func (c *Conn) remove(s *Stream) {
	delete(c.streams, s.id)
	if len(c.streams) == 0 {
		c.idle = time.Now()
	}
	if c.slots != nil {
		c.slots()
	}
	c.finishLeaving()
}
