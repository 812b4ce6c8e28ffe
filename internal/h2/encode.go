package h2

import (
	"encoding/binary"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/slipway-paas/slipway/internal/h1"
)

// frameHead is how long the head of each frame is (RFC 9113, 4.1).
const frameHead = 9

func appendFrame(dst []byte, length int, kind http2.FrameType, flags http2.Flags, stream uint32) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(dst, stream)
}

func appendCode(dst []byte, stream uint32, code Code) []byte {
	dst = appendFrame(dst, 4, http2.FrameRSTStream, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

func appendWindow(dst []byte, stream uint32, more int) []byte {
	dst = appendFrame(dst, 4, http2.FrameWindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(more)) //nolint:gosec // below 2^31, as all windows
}

func appendGoAway(dst []byte, last uint32, code Code, why string) []byte {
	dst = appendFrame(dst, 8+len(why), http2.FrameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, why...)
}

func appendPing(dst []byte, flags http2.Flags, data [8]byte) []byte {
	dst = appendFrame(dst, 8, http2.FramePing, flags, 0)
	return append(dst, data[:]...)
}

func appendSettings(dst []byte, settings ...http2.Setting) []byte {
	dst = appendFrame(dst, 6*len(settings), http2.FrameSettings, 0, 0)
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Val)
	}
	return dst
}

// beginHeaders leaves room for the head of a frame; endHeaders fills it in once
// the block stands behind it, and cuts a block that is longer than the peer's
// frames into CONTINUATIONs.
func beginHeaders(dst []byte) ([]byte, int) {
	return append(dst, make([]byte, frameHead)...), len(dst)
}

func endHeaders(dst []byte, at int, stream uint32, end bool, most int) []byte {
	var flags http2.Flags
	if end {
		flags = http2.FlagHeadersEndStream
	}
	length := len(dst) - at - frameHead
	if length <= most {
		appendFrame(dst[:at], length, http2.FrameHeaders, flags|http2.FlagHeadersEndHeaders, stream)
		return dst
	}
	rest := append([]byte(nil), dst[at+frameHead+most:]...)
	appendFrame(dst[:at], most, http2.FrameHeaders, flags, stream)
	dst = dst[:at+frameHead+most]
	for len(rest) > 0 {
		n := min(len(rest), most)
		flags = 0
		if n == len(rest) {
			flags = http2.FlagContinuationEndHeaders
		}
		dst = append(appendFrame(dst, n, http2.FrameContinuation, flags, stream), rest[:n]...)
		rest = rest[n:]
	}
	return dst
}

// appendVar appends an integer with a prefix of n bits, the rest of whose byte
// is first (RFC 7541, 5.1).
func appendVar(dst []byte, first byte, n uint, v int) []byte {
	most := 1<<n - 1
	if v < most {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(most))
	for v -= most; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}

// appendString appends a string, in Huffman's code where that is shorter.
func appendString(dst, text []byte) []byte {
	s := unsafe.String(unsafe.SliceData(text), len(text)) // for this call alone
	if coded := int(hpack.HuffmanEncodeLength(s)); coded < len(s) {
		return hpack.AppendHuffmanString(appendVar(dst, 0x80, 7, coded), s)
	}
	return append(appendVar(dst, 0, 7, len(s)), s...)
}

// appendField appends a field that no table remembers (RFC 7541, 6.2.2), its
// name in lower case. What may be a secret is so for every table on the way
// (6.2.3).
func appendField(dst, name, value []byte) []byte {
	var low [64]byte
	name = lowered(low[:0], name)
	var first byte
	if string(name) == "authorization" || string(name) == "cookie" || string(name) == "set-cookie" {
		first = 0x10
	}
	if index := static[string(name)]; index > 0 {
		dst = appendVar(dst, first, 4, index)
	} else {
		dst = appendString(append(dst, first), name)
	}
	return appendString(dst, value)
}

func appendIndexed(dst []byte, index int) []byte { return appendVar(dst, 0x80, 7, index) }

// lowered is name in lower case, which most are; low is where it may be put.
func lowered(low, name []byte) []byte {
	for i, b := range name {
		if b < 'A' || b > 'Z' {
			continue
		}
		low = append(low, name...)
		for ; i < len(low); i++ {
			if low[i] >= 'A' && low[i] <= 'Z' {
				low[i] += 'a' - 'A'
			}
		}
		return low
	}
	return name
}

// static are the names of HPACK's static table (RFC 7541, A).
var static = map[string]int{
	":authority": 1, ":method": 2, ":path": 4, ":scheme": 6, ":status": 8,
	"accept-charset": 15, "accept-encoding": 16, "accept-language": 17, "accept-ranges": 18, "accept": 19,
	"access-control-allow-origin": 20, "age": 21, "allow": 22, "authorization": 23, "cache-control": 24,
	"content-disposition": 25, "content-encoding": 26, "content-language": 27, "content-length": 28,
	"content-location": 29, "content-range": 30, "content-type": 31, "cookie": 32, "date": 33, "etag": 34,
	"expect": 35, "expires": 36, "from": 37, "host": 38, "if-match": 39, "if-modified-since": 40,
	"if-none-match": 41, "if-range": 42, "if-unmodified-since": 43, "last-modified": 44, "link": 45,
	"location": 46, "max-forwards": 47, "proxy-authenticate": 48, "proxy-authorization": 49, "range": 50,
	"referer": 51, "refresh": 52, "retry-after": 53, "server": 54, "set-cookie": 55,
	"strict-transport-security": 56, "transfer-encoding": 57, "user-agent": 58, "vary": 59, "via": 60,
	"www-authenticate": 61,
}

// appendStatus appends :status, which the static table has some of.
func appendStatus(dst []byte, status int) []byte {
	switch status {
	case 200:
		return appendIndexed(dst, 8)
	case 204:
		return appendIndexed(dst, 9)
	case 206:
		return appendIndexed(dst, 10)
	case 304:
		return appendIndexed(dst, 11)
	case 400:
		return appendIndexed(dst, 12)
	case 404:
		return appendIndexed(dst, 13)
	case 500:
		return appendIndexed(dst, 14)
	}
	return strconv.AppendInt(append(dst, 0x08, 3), int64(status), 10)
}

// appendResponse appends the block of a response, as h1.AppendResponse does
// its head.
func appendResponse(dst []byte, r *h1.Response, back h1.Back) []byte {
	status, tunnel := r.Status, r.Status == 101
	if tunnel {
		status = 200 // RFC 8441, 5
	}
	dst = appendStatus(dst, status)
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Hop || back.Drop != nil && back.Drop(f.Name) || tunnel && strings.EqualFold(string(f.Name), "sec-websocket-accept") {
			continue
		}
		dst = appendField(dst, f.Name, f.Value)
	}
	if !back.Bodiless && back.Length >= 0 && !tunnel {
		dst = appendLength(dst, back.Length)
	}
	return appendLines(dst, back.Set)
}

func appendLength(dst []byte, length int64) []byte {
	var digits [20]byte
	return appendString(appendVar(dst, 0, 4, 28), strconv.AppendInt(digits[:0], length, 10))
}

// appendLines appends whole lines as fields, but those of HTTP/1.1's connections.
func appendLines(dst, lines []byte) []byte {
	for f, rest, ok := h1.NextField(lines); ok; f, rest, ok = h1.NextField(rest) {
		var low [64]byte
		switch string(lowered(low[:0], f.Name)) {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "te":
		default:
			dst = appendField(dst, f.Name, f.Value)
		}
	}
	return dst
}

// appendRequest appends the block of a request, as h1.AppendRequest does its
// head.
func appendRequest(dst []byte, r *h1.Request, onward h1.Onward) []byte {
	switch string(r.Method) {
	case "GET":
		dst = appendIndexed(dst, 2)
	case "POST":
		dst = appendIndexed(dst, 3)
	default:
		dst = appendField(dst, []byte(":method"), r.Method)
	}
	dst = appendIndexed(dst, 6) // http
	if len(r.Host) > 0 {
		dst = appendField(dst, []byte(":authority"), r.Host)
	}
	dst = appendField(dst, []byte(":path"), r.Target)
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Hop || onward.Drop != nil && onward.Drop(f.Name) {
			continue
		}
		dst = appendField(dst, f.Name, f.Value)
	}
	if r.Trailers {
		dst = appendField(dst, []byte("te"), []byte("trailers"))
	}
	if onward.Body && onward.Length >= 0 {
		dst = appendLength(dst, onward.Length)
	}
	return appendLines(dst, onward.Set)
}
