package h1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/h1"
)

// decode hands text over in pieces of size bytes.
func decode(text string, size int) (data, trailers, rest string, err error) {
	var c h1.Chunks
	buf := []byte(text)
	for len(buf) > 0 && !c.Done() {
		part := buf[:min(size, len(buf))]
		got, took, err := c.Next(part)
		if err != nil {
			return data, "", "", err
		}
		data += string(got)
		buf = buf[took:]
	}
	if !c.Done() {
		return data, "", "", errors.New("no end")
	}
	return data, string(c.Trailers()), string(buf), nil
}

func TestChunksAreTheirData(t *testing.T) {
	for name, c := range map[string]struct{ in, data, trailers string }{
		"one":          {"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
		"several":      {"2\r\nhe\r\n03\r\nllo\r\n000\r\n\r\n", "hello", ""},
		"upper case":   {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
		"line ends":    {"4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", ""},
		"none":         {"0\r\n\r\n", "", ""},
		"an extension": {"5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", "hello", ""},
		"trailers":     {"1\r\na\r\n0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\n\r\n", "a", "X-Sum: 1\r\nGrpc-Status: 0\r\n"},
	} {
		for _, size := range []int{1, 2, 3, 7, 1000} {
			data, trailers, rest, err := decode(c.in+"GET /", size)
			if err != nil || data != c.data || trailers != c.trailers || !strings.HasSuffix("GET /", rest) || size == 1000 && rest != "GET /" {
				t.Errorf("%s by %d: %q, %q, %q, %v", name, size, data, trailers, rest, err)
			}
		}
	}
}

func TestChunksThatTwoReadersCouldReadInTwoWaysAreRefused(t *testing.T) {
	for name, in := range map[string]string{
		"a bare line feed after the size":     "5\nhello\r\n0\r\n\r\n",
		"a bare line feed in an extension":    "5;a\nhello\r\n0\r\n\r\n",
		"a carriage return in an extension":   "5;a\rb\r\nhello\r\n0\r\n\r\n",
		"a bare line feed after the data":     "5\r\nhello\n0\r\n\r\n",
		"data longer than its size":           "5\r\nhello!\r\n0\r\n\r\n",
		"no size":                             "\r\nhello\r\n0\r\n\r\n",
		"a prefix":                            "0x5\r\nhello\r\n0\r\n\r\n",
		"a sign":                              "+5\r\nhello\r\n0\r\n\r\n",
		"a minus":                             "-5\r\nhello\r\n0\r\n\r\n",
		"a space first":                       " 5\r\nhello\r\n0\r\n\r\n",
		"an underscore":                       "1_0\r\n0123456789012345\r\n0\r\n\r\n",
		"a size beyond all numbers":           "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
		"an endless extension":                "5;" + strings.Repeat("a", 1000) + "\r\nhello\r\n0\r\n\r\n",
		"an endless size":                     strings.Repeat("0", 1000) + "\r\n\r\n",
		"NUL in an extension":                 "5;\x00\r\nhello\r\n0\r\n\r\n",
		"a length in the trailers":            "0\r\nContent-Length: 5\r\n\r\n",
		"a coding in the trailers":            "0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a host in the trailers":              "0\r\nhost: b\r\n\r\n",
		"a credential in the trailers":        "0\r\nAuthorization: b\r\n\r\n",
		"a folded trailer":                    "0\r\nX: a\r\n b\r\n\r\n",
		"a trailer without a colon":           "0\r\nX\r\n\r\n",
		"a bare line feed after a trailer":    "0\r\nX: a\n\r\n",
		"a bare line feed after the trailers": "0\r\n\n",
		"trailers without an end":             "0\r\n" + strings.Repeat("X: a\r\n", 2000),
	} {
		for _, size := range []int{1, 1000} {
			if data, _, _, err := decode(in, size); !errors.As(err, new(*h1.Error)) {
				t.Errorf("%s by %d: %q, %v", name, size, data, err)
			}
		}
	}
}
