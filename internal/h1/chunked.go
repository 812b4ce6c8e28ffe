package h1

import "strconv"

// Bounds of what stands between the data of a chunked body.
const (
	maxChunkLine = 256     // bytes of a size with its extensions
	maxTrailers  = 8 << 10 // bytes
	maxChunkSize = 1 << 60
)

// Chunks finds the data in a chunked body (RFC 9112, 7.1). The zero value
// stands before the first chunk. Extensions are read and dropped.
type Chunks struct {
	state    chunkState
	left     int64 // bytes of data to come in this chunk
	digits   int
	line     int // bytes of the line so far
	trailers []byte
}

type chunkState uint8

const (
	atSize chunkState = iota
	inExtension
	afterSizeCR
	inData
	afterData
	afterDataCR
	inTrailers
	chunksDone
)

// Done reports whether the last chunk and the trailers are through.
func (c *Chunks) Done() bool { return c.state == chunksDone }

// Trailers are the fields after the last chunk, as lines without the empty one;
// they are checked, and hold until Reset.
func (c *Chunks) Trailers() []byte { return c.trailers }

// Reset stands before the first chunk of another body.
func (c *Chunks) Reset() { *c = Chunks{trailers: c.trailers[:0]} }

// Next takes bytes from the start of buf: took of them, and data, a part of
// buf, is what of those is the body's. It takes what is there up to the end of
// one piece of data, so it is called again until it takes nothing or is Done.
func (c *Chunks) Next(buf []byte) (data []byte, took int, err error) {
	for took < len(buf) {
		if c.state == inData {
			n := int(min(c.left, int64(len(buf)-took)))
			if c.left -= int64(n); c.left == 0 {
				c.state = afterData
			}
			return buf[took : took+n], took + n, nil
		}
		if c.state == chunksDone {
			return nil, took, nil
		}
		if err := c.step(buf[took]); err != nil {
			return nil, took, err
		}
		took++
	}
	return nil, took, nil
}

// step takes one byte that is not data.
func (c *Chunks) step(b byte) error {
	switch c.state {
	case atSize:
		return c.size(b)
	case inExtension:
		return c.extension(b)
	case afterSizeCR:
		return c.sizeEnd(b)
	case afterData:
		if b != '\r' {
			return errChunkEnd
		}
		c.state = afterDataCR
	case afterDataCR:
		if b != '\n' {
			return errChunkEnd
		}
		c.state, c.digits, c.line, c.left = atSize, 0, 0, 0
	case inTrailers:
		return c.trailer(b)
	case inData, chunksDone:
	}
	return nil
}

func (c *Chunks) size(b byte) error {
	value, ok := hex(b)
	switch {
	case ok:
		if c.left >= maxChunkSize>>4 {
			return errChunkSize
		}
		c.left = c.left<<4 | int64(value)
		c.digits++
		return c.count()
	case c.digits == 0:
		return errChunkSize
	case b == '\r':
		c.state = afterSizeCR
	case b == ';' || b == ' ' || b == '\t':
		c.state = inExtension
	default:
		return errChunkSize
	}
	return c.count()
}

// count bounds the line of a size.
func (c *Chunks) count() error {
	if c.line++; c.line > maxChunkLine {
		return errChunkExt
	}
	return nil
}

func (c *Chunks) extension(b byte) error {
	switch {
	case b == '\r':
		c.state = afterSizeCR
	case classes[b]&valueByte == 0:
		return errChunkExt
	}
	return c.count()
}

func (c *Chunks) sizeEnd(b byte) error {
	switch {
	case b != '\n':
		return errChunkEnd
	case c.left == 0:
		c.state = inTrailers
	default:
		c.state = inData
	}
	return nil
}

// trailer collects the trailers up to the empty line.
func (c *Chunks) trailer(b byte) error {
	if len(c.trailers) == maxTrailers {
		return errTrailersSize
	}
	c.trailers = append(c.trailers, b)
	if b != '\n' {
		return nil
	}
	n := len(c.trailers)
	if n < 2 || c.trailers[n-2] != '\r' {
		return errLineEnd
	}
	if n > 2 && c.trailers[n-3] != '\n' {
		return nil // a field's line: the empty one is still to come
	}
	c.trailers = c.trailers[:n-2]
	if err := checkTrailers(c.trailers); err != nil {
		return err
	}
	c.state = chunksDone
	return nil
}

// checkTrailers refuses lines that break a rule, or that only a head may have.
func checkTrailers(lines []byte) error {
	for len(lines) > 0 {
		text, n, err := line(lines)
		if err != nil {
			return err
		}
		lines = lines[n:]
		field, err := parseField(text)
		if err != nil {
			return err
		}
		if err := checkTrailer(field); err != nil {
			return err
		}
	}
	return nil
}

// checkTrailer refuses what only a head may have: framing, routing, and who
// somebody is (RFC 9110, 6.5.1).
func checkTrailer(f Field) error {
	for _, name := range [...]string{
		"content-length", "transfer-encoding", "trailer", "host", "te", "connection", "upgrade", "expect", "authorization",
		"cookie", "set-cookie", "content-encoding", "content-type", "content-range", "cache-control", "keep-alive", "range", "forwarded",
	} {
		if Is(f.Name, name) {
			return errTrailer
		}
	}
	return nil
}

func hex(b byte) (value byte, ok bool) {
	switch {
	case b >= '0' && b <= '9':
		return b - '0', true
	case b >= 'a' && b <= 'f':
		return b - 'a' + 10, true
	case b >= 'A' && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}

// AppendChunkHead appends the line before a chunk of n bytes, n > 0. After the
// data comes CR LF.
func AppendChunkHead(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16) //nolint:gosec // a length
	return append(dst, crlf...)
}

// AppendChunksEnd appends the last chunk and the trailers, which are lines.
func AppendChunksEnd(dst, trailers []byte) []byte {
	dst = append(dst, "0\r\n"...)
	dst = append(dst, trailers...)
	return append(dst, crlf...)
}
