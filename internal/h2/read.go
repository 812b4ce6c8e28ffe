package h2

import (
	"errors"
	"time"

	"golang.org/x/net/http2"

	"github.com/slipway-paas/slipway/internal/h1"
)

// opening is a header block on its way in.
type opening struct {
	stream uint32
	end    bool    // END_STREAM
	fresh  *Stream // what it opens; nil: it is for one that is open, or has ended
	held   []byte  // the pieces before the last: a decoder would keep their room for ever
	pieces int
	going  bool // more of it follows
}

// The bounds of a block as it comes: HPACK may make it smaller, and what is
// over the limit must be decoded all the same, to a point.
const (
	mostPieces   = 64 // CONTINUATIONs
	mostTrailers = 8 << 10
)

// readFrame reads one frame and does what it says.
func (c *Conn) readFrame() error {
	if err := c.ready(); err != nil {
		return err
	}
	c.frames.Add(1)
	fh, err := c.in.fr.ReadFrameHeader()
	if err != nil {
		return c.framing(err, fh)
	}
	if !c.first && (fh.Type != http2.FrameSettings || fh.Flags.Has(http2.FlagSettingsAck)) {
		return protocol("3.4", "the first frame is not SETTINGS")
	}
	f, err := c.in.fr.ReadFrameForHeader(fh)
	if err != nil {
		return c.framing(err, fh)
	}
	if err = c.frame(f); err != nil {
		return c.broken(fh.StreamID, err)
	}
	return nil
}

// framing says what of a frame that could not be read is whose fault.
func (c *Conn) framing(err error, fh http2.FrameHeader) error {
	var whole http2.ConnectionError
	var one http2.StreamError
	switch {
	case errors.Is(err, http2.ErrFrameTooLarge):
		return &connError{http2.ErrCodeFrameSize, "4.2", "a frame is larger than SETTINGS_MAX_FRAME_SIZE"}
	case errors.As(err, &whole):
		return &connError{Code(whole), "4-6", c.detail()}
	case errors.As(err, &one) && fh.Type == http2.FrameHeaders:
		return &connError{one.Code, "6.2", c.detail()} // its block would be missing
	case errors.As(err, &one):
		return c.broken(one.StreamID, &streamError{one.Code, "4-6", c.detail()})
	}
	return err
}

func (c *Conn) detail() string {
	if detail := c.in.fr.ErrorDetail(); detail != nil {
		return detail.Error()
	}
	return "a frame breaks the rules of its type"
}

// broken resets the stream that a mistake is limited to.
func (c *Conn) broken(id uint32, err error) error {
	var one *streamError
	if !errors.As(err, &one) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		c.reset(s, one.code, err)
	} else {
		c.sendReset(id, one.code)
	}
	if !c.resets.spend() {
		return errResets
	}
	return err
}

var (
	errResets   = &connError{Calm, "5.4.2", "too many streams were reset"}
	errControls = &connError{Calm, "10.5", "too many frames carry nothing"}
	errBacklog  = &connError{Calm, "10.5", "too much is to be answered, and nothing of it is read"}
)

// frame does what a frame says.
func (c *Conn) frame(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.DataFrame:
		return c.data(f)
	case *http2.HeadersFrame:
		return c.headers(f)
	case *http2.ContinuationFrame:
		return c.block(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.PushPromiseFrame:
		return protocol("8.4", "there is a PUSH_PROMISE")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.controls.spend() {
		return errControls
	}
	return c.control(f)
}

// control does what a frame without content says.
func (c *Conn) control(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		return c.ping(f)
	case *http2.WindowUpdateFrame:
		return c.widen(f.StreamID, int(f.Increment))
	case *http2.RSTStreamFrame:
		return c.wasReset(f.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		c.peerLeaves(f.LastStreamID)
	}
	return nil // PRIORITY (5.3.2) and unknown ones (5.5) are ignored
}

// reply bounds what has been appended to answer the peer.
func (c *Conn) reply() error {
	if len(c.out) > mostBacklog {
		return errBacklog
	}
	c.poke()
	return nil
}

func (c *Conn) ping(f *http2.PingFrame) error {
	if !f.IsAck() {
		c.out = appendPing(c.out, http2.FlagPingAck, f.Data)
		return c.reply()
	}
	if f.Data == drainPing && c.leaving.asked && !c.leaving.final {
		c.goAway(c.last)
		c.finishLeaving()
	}
	return nil
}

func (c *Conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if !c.first && !c.closing { // else shut has set another
		_ = c.nc.SetReadDeadline(time.Time{}) // one that fails fails the next read
	}
	c.first = true
	if err := f.ForeachSetting(c.setting); err != nil {
		return c.framing(err, f.FrameHeader)
	}
	c.out = appendFrame(c.out, 0, http2.FrameSettings, http2.FlagSettingsAck, 0)
	if c.slots != nil {
		c.slots()
	}
	return c.reply()
}

func (c *Conn) setting(s http2.Setting) error {
	if err := s.Valid(); err != nil {
		return err
	}
	if !c.controls.spend() { // a frame has room for thousands, and one may concern all streams
		return errControls
	}
	switch s.ID {
	case http2.SettingMaxConcurrentStreams:
		c.peer.streams = s.Val
	case http2.SettingMaxFrameSize:
		c.peer.frame = frameSize // more would hold up other streams
	case http2.SettingInitialWindowSize:
		return c.rewindow(int(s.Val))
	default: // nothing that we do depends on the others
	}
	return nil
}

// rewindow changes the windows of all streams (RFC 9113, 6.9.2).
func (c *Conn) rewindow(size int) error {
	more := size - c.window
	c.window = size
	for _, s := range c.streams {
		if s.send += more; s.send > mostWindow {
			return &connError{http2.ErrCodeFlowControl, "6.9.2", "SETTINGS_INITIAL_WINDOW_SIZE overflows a window"}
		}
		s.mayWrite()
	}
	return nil
}

func (c *Conn) widen(id uint32, more int) error {
	if id == 0 {
		if c.send += more; c.send > mostWindow {
			return &connError{http2.ErrCodeFlowControl, "6.9.1", "the connection's window overflows"}
		}
		c.next()
		return nil
	}
	s := c.streams[id]
	if s == nil {
		return c.absent(id)
	}
	if s.send += more; s.send > mostWindow {
		return &streamError{http2.ErrCodeFlowControl, "6.9.1", "the stream's window overflows"}
	}
	s.mayWrite()
	return nil
}

// absent is an error where a frame names a stream that was never opened (RFC
// 9113, 5.1); one for a stream that has ended is late, and ignored.
func (c *Conn) absent(id uint32) error {
	if c.idleID(id) {
		return protocol("5.1", "a frame is for a stream that is not open")
	}
	return nil
}

// idleID reports whether a stream was never opened. What a client opened before
// it knew that we leave was not looked at, nor is what it says of it.
func (c *Conn) idleID(id uint32) bool {
	switch {
	case id%2 == 0: // nobody pushes
		return true
	case !c.client && c.leaving.final && id > c.leaving.last:
		return false
	}
	return id > c.last
}

func (c *Conn) wasReset(id uint32, code Code) error {
	s := c.streams[id]
	if s == nil {
		return c.absent(id)
	}
	if c.client && code == NoError && s.ended {
		s.deaf = true // it wants no more of the request: RFC 9113, 8.1
		s.mayWrite()
		return nil
	}
	err := error(&ResetError{code, true})
	if c.client && code == http2.ErrCodeRefusedStream {
		err = ErrUnsent
	}
	c.closed.add(id, resetByPeer)
	c.drop(s, err)
	c.forget(s)
	if !c.client && !c.resets.spend() {
		return errResets
	}
	return nil
}

// peerLeaves takes note of a GOAWAY: what is after last was not looked at. A
// client's says nothing of its own requests, nor when it will go.
func (c *Conn) peerLeaves(last uint32) {
	if !c.client {
		return
	}
	c.leaving.asked = true
	for id, s := range c.streams {
		if id > last {
			c.drop(s, ErrUnsent)
			c.forget(s)
		}
	}
	c.leaving.final = true
	c.finishLeaving()
}

// data takes a piece of a body.
func (c *Conn) data(f *http2.DataFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, data := int(f.Length), f.Data()
	if c.recv -= n; c.recv < 0 {
		return &connError{http2.ErrCodeFlowControl, "6.9.1", "the connection's window was not kept"}
	}
	if len(data) == 0 && !f.StreamEnded() && !c.controls.spend() {
		return errControls
	}
	c.controls.earn(len(data) / 512)
	s := c.streams[f.StreamID]
	if s == nil {
		c.credit()
		return c.lateData(f.StreamID)
	}
	if err := s.take(n, data, f.StreamEnded()); err != nil {
		c.credit()
		return err
	}
	c.credit()
	return c.reply()
}

func (c *Conn) lateData(id uint32) error {
	switch {
	case c.idleID(id):
		return protocol("5.1", "DATA is for a stream that is not open")
	case c.closed.find(id) == resetByUs || c.leaving.final && id > c.leaving.last:
		return nil // it did not know yet
	}
	return &streamError{http2.ErrCodeStreamClosed, "5.1", "DATA is for a stream that has ended"}
}

// credit opens the connection's window again: for all that has come, as long
// as what lies unread is within its bound.
func (c *Conn) credit() {
	due := c.opt.Buffered - c.buffered - c.recv
	if due >= c.opt.Buffered/4 || c.recv < frameSize && due >= frameSize/4 {
		c.recv += due
		c.out = appendWindow(c.out, 0, due)
		c.poke()
	}
}

// headers begins a block.
func (c *Conn) headers(f *http2.HeadersFrame) error {
	fresh, err := c.opens(f.StreamID)
	if err != nil {
		return err
	}
	c.open = opening{stream: f.StreamID, end: f.StreamEnded(), fresh: fresh}
	c.into = &c.spare
	if fresh != nil {
		c.into = &fresh.block
	}
	c.into.reset(&c.opt)
	if !f.HeadersEnded() {
		c.mu.Lock()
		c.heading = time.Now()
		c.mu.Unlock()
	}
	return c.block(f.HeaderBlockFragment(), f.HeadersEnded())
}

// opens is the stream that a block on id opens, nil if it is for one that is
// open or has ended.
func (c *Conn) opens(id uint32) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[id] != nil {
		return nil, nil
	}
	switch {
	case c.client && c.idleID(id), id%2 == 0:
		return nil, protocol("5.1.1", "a stream has a number that is not its opener's")
	case c.client, c.leaving.final && id > c.leaving.last:
		return nil, nil
	case id > c.last:
		c.last = id
		return newStream(c, id), nil
	}
	switch c.closed.find(id) {
	case resetByUs:
		return nil, nil
	case unknown:
		return nil, protocol("5.1.1", "a stream has a lower number than one before it")
	case ended, resetByPeer:
	}
	return nil, &connError{http2.ErrCodeStreamClosed, "5.1", "HEADERS are for a stream that has ended"}
}

// block takes a piece of a block, and decodes it when all of it is there.
func (c *Conn) block(piece []byte, last bool) error {
	c.open.pieces++
	c.open.going = !last
	if len(c.open.held)+len(piece) > 4*c.opt.HeaderList || c.open.pieces > mostPieces {
		return &connError{Calm, "10.5.1", "a head is too large"}
	}
	if c.open.pieces > 1 || !last {
		c.open.held = append(c.open.held, piece...)
		piece = c.open.held
	}
	if !last {
		return nil
	}
	if err := c.decode(piece); err != nil {
		return err
	}
	if c.open.held != nil {
		c.open.held, c.into = nil, new(block)
		_ = c.decode(oneField) // the decoder points to what it had last
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heading = time.Time{}
	c.controls.earn(2)
	err := c.opened()
	if cap(c.spare.buf) > frameSize {
		c.spare = block{}
	}
	return err
}

// oneField is a block that changes nothing: the second field of the static table.
var oneField = []byte{0x82}

func (c *Conn) decode(block []byte) error {
	if _, err := c.dec.Write(block); err != nil {
		return &connError{http2.ErrCodeCompression, "4.3", "a header block cannot be decoded"}
	}
	if err := c.dec.Close(); err != nil {
		return &connError{http2.ErrCodeCompression, "4.3", "a header block ends in the middle of a field"}
	}
	return nil
}

// opened does what a whole block says.
func (c *Conn) opened() error {
	s := c.streams[c.open.stream]
	switch {
	case c.client && s != nil && !s.headed:
		return s.answered(&c.spare, c.open.end)
	case !c.client && c.open.fresh != nil:
		return c.accept(c.open.fresh)
	case s != nil:
		return s.trailed(&c.spare, c.open.end)
	}
	return nil // of a stream that is no more
}

// accept begins a request.
func (c *Conn) accept(s *Stream) error {
	if err := c.judge(s); err != nil {
		return err
	}
	if len(c.streams) >= c.opt.MaxStreams || c.zombies >= c.opt.MaxStreams {
		return &streamError{http2.ErrCodeRefusedStream, "5.1.2", "there are too many streams"}
	}
	s.ended = c.open.end
	if s.left = s.request.Length; s.request.Upgrade != nil || s.refusal != nil {
		s.left = h1.Chunked
	}
	c.streams[s.id] = s
	c.started()
	if last := len(c.hands) - 1; last >= 0 {
		c.hands[last] <- s
		c.hands = c.hands[:last]
		return nil
	}
	c.handlers.Go(func() { c.work(s) })
	return nil
}

// judge makes the request of a stream out of its block. One that is well-formed
// and will not be served is its handler's to refuse; it comes out of the budget
// of those that are reset.
func (c *Conn) judge(s *Stream) error {
	err := s.block.request(&s.request, c.opt.limits(), !c.open.end)
	var broken *h1.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &broken) && broken.Status != 400:
		if s.refusal = broken; !c.resets.spend() {
			return errResets
		}
		return nil
	case broken != nil:
		err = malformed("8.1.1", broken.Reason)
	}
	if c.opt.Malformed != nil {
		c.opt.Malformed(&s.request)
	}
	return err
}

func (c *Conn) sendReset(id uint32, code Code) {
	c.closed.add(id, resetByUs)
	c.out = appendCode(c.out, id, code)
	c.poke()
}
