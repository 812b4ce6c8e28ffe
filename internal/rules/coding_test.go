package rules_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/rules"
)

var page = []string{"HTTP/1.1 200 OK", "Content-Type: text/html; charset=utf-8", "Content-Length: 1000"}

func coder(t testing.TB, codings ...string) *rules.Rules {
	t.Helper()
	return compile(t, platform.Edge{Compress: codings})
}

// coded is the coding of an answer, "" for none, and its whole head.
func coded(t testing.TB, r *rules.Rules, req *h1.Request, res *h1.Response) (coding, head string) {
	t.Helper()
	var s rules.Shown
	s.Set(r, req, res, false)
	length := res.Length
	if s.Coded() {
		length = h1.Chunked
	}
	head = string(h1.AppendResponse(nil, res, h1.Back{Length: length, Bodiless: res.Bodiless(req.Method), Drop: s.Drop, Set: s.Append(nil)}))
	if s.Coded() {
		_, coding, _ = strings.Cut(head, "Content-Encoding: ")
		coding, _, _ = strings.Cut(coding, "\r\n")
	}
	return coding, head
}

func TestTheClientsWishDecidesTheCoding(t *testing.T) {
	r := coder(t, "zstd", "br", "gzip")
	for accept, want := range map[string]string{
		"":                                  "", // RFC 9110, 12.5.3: nothing but identity
		"gzip":                              "gzip",
		"GZip":                              "gzip",
		"x-gzip":                            "gzip", // 8.4.1.3
		"gzip, deflate, br, zstd":           "zstd", // the team's order
		"gzip, br":                          "br",
		"gzip;q=1.0, br;q=0.9":              "gzip",
		"gzip;q=0.2, br;q=0.3, zstd;q=0.25": "br",
		"gzip;q=0":                          "",
		"gzip;q=0.000":                      "",
		"gzip;q=0.001":                      "gzip",
		"*":                                 "zstd",
		"*;q=0":                             "",
		"zstd;q=0, *":                       "br",
		"zstd;q=0, br;q=0, *;q=0.1":         "gzip",
		"identity":                          "",
		"identity;q=0.5, gzip;q=0.4":        "",
		"identity;q=0.5, gzip;q=0.5":        "gzip",
		"identity;q=0, gzip;q=0.1":          "gzip",
		"identity;q=0":                      "", // better than nothing: 15.5.16 is no must
		"gzip ; q=0.5 , br;q=0":             "gzip",
		"gzip;Q=0.5":                        "gzip", // 12.4.2
		"gzip;q=2":                          "",     // none of these is a weight
		"gzip;q=1.001":                      "",
		"gzip;q=0.1234":                     "",
		"gzip;q=-1":                         "",
		"gzip;q=":                           "",
		"gzip;q":                            "",
		"gzip;":                             "",
		"gzip;level=9":                      "",
		"deflate, compress":                 "",
		",, gzip ,":                         "gzip", // 5.6.1.2
		"gzipped, gzi, g":                   "",
		"br|gzip;q=0.5":                     "br", // two fields are one list: 5.2
	} {
		lines := []string{"GET / HTTP/1.1"}
		for one := range strings.SplitSeq(accept, "|") {
			lines = append(lines, "Accept-Encoding: "+one)
		}
		if got, _ := coded(t, r, request(t, lines...), response(t, "GET", page...)); got != want {
			t.Errorf("%q gives %q, want %q", accept, got, want)
		}
	}
	if got, head := coded(t, r, request(t, "GET / HTTP/1.1"), response(t, "GET", page...)); got != "" || !strings.Contains(head, "Vary: Accept-Encoding\r\n") {
		t.Errorf("nobody asked: %q\n%s", got, head)
	}
}

func TestOnlyWhatMayAndGainsIsCompressed(t *testing.T) {
	r := coder(t, "gzip")
	typed := func(kind string) []string {
		return []string{"HTTP/1.1 200 OK", "Content-Type: " + kind, "Content-Length: 1000"}
	}
	with := func(lines ...string) []string { return append(append([]string{}, page...), lines...) }
	for name, c := range map[string]struct {
		method string
		asked  string // a line of the request
		answer []string
		want   bool
	}{
		"html":                       {"GET", "X: y", page, true},
		"json":                       {"GET", "X: y", typed("application/json"), true},
		"problem+json":               {"GET", "X: y", typed("Application/Problem+JSON;x=y"), true},
		"svg":                        {"GET", "X: y", typed("image/svg+xml"), true},
		"wasm":                       {"GET", "X: y", typed("application/wasm"), true},
		"png":                        {"GET", "X: y", typed("image/png"), false},
		"gRPC":                       {"POST", "X: y", typed("application/grpc"), false},
		"no type":                    {"GET", "X: y", []string{"HTTP/1.1 200 OK", "Content-Length: 1000"}, false},
		"255 bytes":                  {"GET", "X: y", []string{"HTTP/1.1 200 OK", "Content-Type: text/html", "Content-Length: 255"}, false},
		"256 bytes":                  {"GET", "X: y", []string{"HTTP/1.1 200 OK", "Content-Type: text/html", "Content-Length: 256"}, true},
		"chunked":                    {"GET", "X: y", []string{"HTTP/1.1 200 OK", "Content-Type: text/html", "Transfer-Encoding: chunked"}, true},
		"until close":                {"GET", "X: y", []string{"HTTP/1.1 200 OK", "Content-Type: text/html"}, true},
		"an error":                   {"GET", "X: y", append([]string{"HTTP/1.1 500 Oh"}, page[1:]...), true},
		"206":                        {"GET", "Range: bytes=0-", append([]string{"HTTP/1.1 206 Partial"}, page[1:]...), false},
		"Content-Range":              {"GET", "X: y", with("Content-Range: bytes 0-999/1000"), false},
		"204":                        {"GET", "X: y", []string{"HTTP/1.1 204 No", "Content-Type: text/html"}, false},
		"coded already":              {"GET", "X: y", with("Content-Encoding: br"), false},
		"no-transform":               {"GET", "X: y", with("Cache-Control: max-age=1, No-Transform"), false}, // RFC 9111, 5.2.2.6
		"no-transform by the client": {"GET", "Cache-Control: no-transform", page, false},                    // RFC 9111, 5.2.1.6
		"a digest":                   {"GET", "X: y", with("Content-Digest: sha-256=:x:"), false},            // RFC 9530, 2
		"an old digest":              {"GET", "X: y", with("Digest: sha-256=x"), false},
		"HEAD":                       {"HEAD", "X: y", page, true},
		"HEAD of 255 bytes":          {"HEAD", "X: y", []string{"HTTP/1.1 200 OK", "Content-Type: text/html", "Content-Length: 255"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(t, c.method+" / HTTP/1.1", "Accept-Encoding: gzip", c.asked)
			coding, head := coded(t, r, req, response(t, c.method, c.answer...))
			if (coding == "gzip") != c.want {
				t.Fatalf("%q\n%s", coding, head)
			}
			if c.want && (strings.Contains(head, "Content-Length") || !strings.Contains(head, "Vary: Accept-Encoding\r\n")) {
				t.Errorf("the head does not fit a coded body:\n%s", head)
			}
		})
	}
	old := request(t, "GET / HTTP/1.0", "Accept-Encoding: gzip")
	if coding, _ := coded(t, r, old, response(t, "GET", page...)); coding != "" {
		t.Error("HTTP/1.0 has no chunks to tell the end by")
	}
}

func TestACodedAnswerIsAnotherOneToCaches(t *testing.T) {
	r := coder(t, "gzip")
	req := request(t, "GET / HTTP/1.1", "Accept-Encoding: gzip")
	for name, c := range map[string]struct{ line, want, not string }{
		"a strong tag is weakened":   {`ETag: "x"`, "\r\nETag: W/\"x\"\r\n", "\r\nETag: \"x\""}, // RFC 9110, 8.8.1
		"a weak one stays":           {`ETag: W/"x"`, "\r\nETag: W/\"x\"\r\n", "W/W/"},
		"ranges are offered of none": {"Accept-Ranges: bytes", "Content-Encoding: gzip", "Accept-Ranges"},
		"Vary is joined":             {"Vary: Cookie", "\r\nVary: Cookie\r\nTransfer-Encoding: chunked\r\nVary: Accept-Encoding\r\n", "?"},
		"Vary is not repeated":       {"Vary: Cookie, accept-encoding", "accept-encoding\r\n", "Vary: Accept-Encoding"},
		"Vary of all says it too":    {"Vary: *", "Vary: *\r\n", "Vary: Accept-Encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			_, head := coded(t, r, req, response(t, "GET", append(append([]string{}, page...), c.line)...))
			if !strings.Contains(head, c.want) || strings.Contains(head, c.not) {
				t.Errorf("got\n%s", head)
			}
		})
	}
	_, head := coded(t, r, req, response(t, "GET", "HTTP/1.1 304 Not Modified", `ETag: "x"`))
	if !strings.Contains(head, `ETag: W/"x"`) || strings.Contains(head, "Content-Encoding") || !strings.Contains(head, "Vary: Accept-Encoding") {
		t.Errorf("304 does not speak of what 200 gave:\n%s", head)
	}
}

// TestAnyWishGivesAValidChoice draws lists as clients write them, and worse,
// and judges the choice by the words of RFC 9110, 12.5.3.
func TestAnyWishGivesAValidChoice(t *testing.T) {
	name := rapid.SampledFrom([]string{"gzip", "br", "zstd", "identity", "*", "deflate", "x-gzip", ""})
	weight := rapid.SampledFrom([]string{"", ";q=0", ";q=0.5", "; q=1", ";q=0.25", ";q=x", ";q=1.5"})
	r := coder(t, "br", "zstd", "gzip")
	rapid.Check(t, func(t *rapid.T) {
		var list []string
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			list = append(list, name.Draw(t, "name")+weight.Draw(t, "weight"))
		}
		req := &h1.Request{Method: []byte("GET"), Target: []byte("/")}
		req.Minor = 1
		req.Fields = []h1.Field{{Name: []byte("Accept-Encoding"), Value: []byte(strings.Join(list, ","))}}
		res := &h1.Response{Status: 200}
		res.Length, res.Fields = 1000, []h1.Field{{Name: []byte("Content-Type"), Value: []byte("text/html")}}
		var s rules.Shown
		s.Set(r, req, res, false)
		_, got, _ := strings.Cut(string(s.Append(nil)), "Content-Encoding: ")
		got = strings.TrimSpace(got)
		if got == "" {
			return
		}
		named, wanted := false, false
		for _, element := range list {
			coding, weight, _ := strings.Cut(element, ";")
			if coding == got || coding == "x-"+got {
				named = true
				wanted = wanted || !strings.HasSuffix(weight, "q=0")
			}
		}
		star := strings.Contains(strings.Join(list, ","), "*")
		if named && !wanted || !named && !star {
			t.Fatalf("%v gives %s", list, got)
		}
	})
}

func decode(t testing.TB, coding string, from io.Reader) []byte {
	t.Helper()
	var err error
	switch coding {
	case "gzip":
		from, err = gzip.NewReader(from)
	case "br":
		from = brotli.NewReader(from)
	case "zstd":
		from, err = zstd.NewReader(from, zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestABodyComesBackAsItWas(t *testing.T) {
	encoders := rules.NewEncoders(8)
	for _, coding := range []string{"gzip", "br", "zstd"} {
		for _, size := range []int{0, 1, 300, 1 << 20} {
			body := bytes.Repeat([]byte("all work and no play "), size/20+1)[:size]
			var s rules.Shown
			s.Set(coder(t, coding), request(t, "GET / HTTP/1.1", "Accept-Encoding: "+coding), response(t, "GET", page...), false)
			for range 2 { // the second by an encoder that was used
				var out bytes.Buffer
				e := encoders.Begin(&s, &out)
				for part := body; len(part) > 0; part = part[min(len(part), 32<<10):] {
					if _, err := e.Write(part[:min(len(part), 32<<10)]); err != nil {
						t.Fatal(err)
					}
				}
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				if size > 1000 && out.Len() > size/10 {
					t.Errorf("%s: %d of %d bytes", coding, out.Len(), size)
				}
				if got := decode(t, coding, &out); !bytes.Equal(got, body) {
					t.Errorf("%s of %d bytes is %d", coding, size, len(got))
				}
			}
		}
	}
}

func TestAnEventIsWithTheClientWhenItIsSaid(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		t.Run(coding, func(t *testing.T) {
			var s rules.Shown
			s.Set(coder(t, coding), request(t, "GET / HTTP/1.1", "Accept-Encoding: "+coding),
				response(t, "GET", "HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"), false)
			from, to := io.Pipe()
			e := rules.NewEncoders(8).Begin(&s, to)
			said := make(chan error, 1)
			go func() {
				_, err := e.Write([]byte("data: now\n\n"))
				said <- errors.Join(err, e.Flush())
			}()
			got := make([]byte, 0, 11)
			var reader io.Reader
			switch coding {
			case "gzip":
				reader, _ = gzip.NewReader(from)
			case "br":
				reader = brotli.NewReader(from)
			default:
				reader, _ = zstd.NewReader(from, zstd.WithDecoderConcurrency(1))
			}
			for len(got) < cap(got) {
				n, err := reader.Read(got[len(got):cap(got)])
				if got = got[:len(got)+n]; err != nil {
					t.Fatal(err)
				}
			}
			if err := <-said; err != nil || string(got) != "data: now\n\n" {
				t.Fatal(string(got), err)
			}
			e.Abort()
		})
	}
}

func TestABodyThatBrokeOffDoesNotLookWhole(t *testing.T) {
	var s rules.Shown
	s.Set(coder(t, "gzip"), request(t, "GET / HTTP/1.1", "Accept-Encoding: gzip"), response(t, "GET", page...), false)
	var out bytes.Buffer
	e := rules.NewEncoders(8).Begin(&s, &out)
	if _, err := e.Write([]byte("half of")); err != nil {
		t.Fatal(err)
	}
	e.Abort()
	reader, err := gzip.NewReader(&out)
	if err == nil {
		_, err = io.ReadAll(reader)
	}
	if err == nil {
		t.Error("it can be read to an end")
	}
}

func TestWhatIsLentIsBoundedAndComesBack(t *testing.T) {
	var s rules.Shown
	r := coder(t, "gzip")
	req := request(t, "GET / HTTP/1.1", "Accept-Encoding: gzip")
	s.Set(r, req, response(t, "GET", "HTTP/1.1 200 OK", "Content-Type: text/event-stream"), false)
	encoders := rules.NewEncoders(8)
	var lent []*rules.Encoder
	for e := encoders.Begin(&s, io.Discard); e != nil; e = encoders.Begin(&s, io.Discard) {
		lent = append(lent, e)
	}
	var other rules.Shown
	other.Set(r, req, response(t, "GET", page...), false)
	e := encoders.Begin(&other, io.Discard)
	if len(lent) != 4 || e == nil {
		t.Fatalf("%d streams leave none for pages", len(lent))
	}
	e.Abort()
	s.Plain()
	if got := string(s.Append(nil)); got != "Vary: Accept-Encoding\r\n" || s.Coded() {
		t.Errorf("without an encoder the answer says %q", got)
	}
	for _, e := range lent {
		e.Abort()
	}
	s.Set(r, req, response(t, "GET", "HTTP/1.1 200 OK", "Content-Type: text/event-stream"), false)
	if e = encoders.Begin(&s, io.Discard); e == nil {
		t.Fatal("what came back is not lent again")
	}
	e.Abort()
}

func FuzzAcceptEncoding(f *testing.F) {
	f.Add([]byte("gzip;q=0.5, br, *;q=0"), []byte("text/html; charset=x"))
	r, _ := rules.Compile(platform.Edge{Compress: []string{"br", "zstd", "gzip"}}, nil)
	f.Fuzz(func(t *testing.T, accept, kind []byte) {
		req := &h1.Request{Method: []byte("GET"), Target: []byte("/")}
		req.Minor = 1
		req.Fields = []h1.Field{{Name: []byte("Accept-Encoding"), Value: accept}}
		res := &h1.Response{Status: 200}
		res.Length, res.Fields = 1000, []h1.Field{{Name: []byte("Content-Type"), Value: kind}}
		var s rules.Shown
		s.Set(r, req, res, false)
		_, got, coded := strings.Cut(string(s.Append(nil)), "Content-Encoding: ")
		got = strings.TrimSpace(got)
		if coded != s.Coded() || coded && !bytes.Contains(bytes.ToLower(accept), []byte(got)) && !bytes.Contains(accept, []byte("*")) {
			t.Fatalf("%q gives %q", accept, got)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	body := bytes.Repeat([]byte(`{"name":"value","number":12345},`), 320) // 10 KB
	for _, coding := range []string{"gzip", "br", "zstd"} {
		b.Run(coding, func(b *testing.B) {
			var s rules.Shown
			s.Set(coder(b, coding), request(b, "GET / HTTP/1.1", "Accept-Encoding: "+coding), response(b, "GET", page...), false)
			encoders := rules.NewEncoders(8)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				e := encoders.Begin(&s, io.Discard)
				_, _ = e.Write(body)
				_ = e.Close()
			}
		})
	}
}
