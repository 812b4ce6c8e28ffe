package router_test

import "strings"

const ok = "HTTP/1.1 200 OK\r\n"

// stay is a field of answers after which the app keeps its connection.
const stay = "X-Stay: y\r\n"

const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

var answers = []told{
	// Framing.
	{name: "a length", clause: "RFC 9112, 6.2", say: ok + stay + "Content-Length: 5\r\n\r\nhello", want: "200 whole", body: "hello", says: []string{"Content-Length: 5\r\n"}},
	{name: "length 0", clause: "RFC 9112, 6.2", say: ok + stay + "Content-Length: 0\r\n\r\n", want: "200 whole"},
	{name: "chunks", clause: "RFC 9112, 7.1", say: ok + stay + chunked + "\r\n5\r\nhello\r\n0\r\n\r\n", want: "200 whole", body: "hello", says: []string{chunked}},
	{name: "chunks with extensions", clause: "RFC 9112, 7.1.1", say: ok + stay + chunked + "\r\n5;a=b\r\nhello\r\n0;c\r\n\r\n", want: "200 whole", body: "hello", lacks: []string{"a=b"}},
	{name: "until the connection ends", clause: "RFC 9112, 6.3", say: ok + "\r\nhello", want: "200 whole", body: "hello"},
	{name: "HTTP/1.0 until the connection ends", clause: "RFC 9112, 6.3", say: "HTTP/1.0 200 OK\r\n\r\nhello", want: "200 whole", body: "hello", says: []string{"HTTP/1.1 200"}},
	{name: "chunks for a client of HTTP/1.0", clause: "RFC 9112, 7.1", old: true, say: ok + chunked + "\r\n5\r\nhello\r\n0\r\n\r\n", want: "200 whole", body: "hello", lacks: []string{"chunked", "5\r\nhello"}},
	{name: "until the connection ends, for a client of HTTP/1.0", clause: "RFC 9112, 6.3", old: true, say: ok + "\r\nhello", want: "200 whole", body: "hello", lacks: []string{"chunked"}},
	{name: "trailers", clause: "RFC 9110, 6.5", say: ok + stay + chunked + "Trailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", want: "200 whole", body: "hello", says: []string{"X-Sum: 1\r\n"}},
	{name: "204 has no body", clause: "RFC 9110, 15.3.5", say: "HTTP/1.1 204 No Content\r\n" + stay + "\r\n", want: "204 whole", lacks: []string{"Content-Length", "chunked"}},
	{name: "304 has no body and may have a length", clause: "RFC 9110, 15.4.5", say: "HTTP/1.1 304 Not Modified\r\n" + stay + "Content-Length: 100\r\n\r\n", want: "304 whole", says: []string{"Content-Length: 100\r\n"}},
	{name: "HEAD has no body and may have a length", clause: "RFC 9110, 9.3.2", method: "HEAD", say: ok + stay + "Content-Length: 100\r\n\r\n", want: "200 whole", says: []string{"Content-Length: 100\r\n"}},
	{name: "HEAD of a chunked answer", clause: "RFC 9112, 6.3", method: "HEAD", say: ok + stay + chunked + "\r\n", want: "200 whole"},

	// Lengths that lie.
	{name: "shorter than it says", clause: "RFC 9112, 8", say: ok + "Content-Length: 50\r\n\r\nhello", want: "200 cut"},
	{name: "chunks that end early", clause: "RFC 9112, 8", say: ok + chunked + "\r\n5\r\nhello\r\n", want: "200 cut"},
	{name: "a chunk that ends early", clause: "RFC 9112, 8", say: ok + chunked + "\r\n50\r\nhello", want: "200 cut"},
	{name: "longer than it says", clause: "RFC 9112, 6.3; response queue poisoning", say: ok + stay + "Content-Length: 2\r\n\r\nok" + poison, want: "200 whole", body: "ok", parted: true},
	{name: "a second answer behind", clause: "RFC 9112, 6.3; response queue poisoning", say: ok + stay + "Content-Length: 0\r\n\r\n" + poison, want: "200 whole", parted: true},
	{name: "a body of a 204", clause: "RFC 9112, 6.3; response queue poisoning", say: "HTTP/1.1 204 No Content\r\n" + stay + "\r\n" + poison, want: "204 whole", parted: true},
	{name: "a body of a 304", clause: "RFC 9112, 6.3; response queue poisoning", say: "HTTP/1.1 304 Not Modified\r\n" + stay + "Content-Length: 6\r\n\r\npoison", want: "304 whole", parted: true},
	{name: "a body of a HEAD", clause: "RFC 9112, 6.3; response queue poisoning", method: "HEAD", say: ok + stay + "Content-Length: 6\r\n\r\npoison", want: "200 whole", parted: true},
	{name: "bytes after the last chunk", clause: "RFC 9112, 7.1; response queue poisoning", say: ok + stay + chunked + "\r\n2\r\nok\r\n0\r\n\r\n" + poison, want: "200 whole", body: "ok", parted: true},

	// Framing that breaks a rule: nobody can say where the answer ends.
	{name: "length and chunked", clause: "RFC 9112, 6.3", say: ok + stay + "Content-Length: 5\r\n" + chunked + "\r\n0\r\n\r\n" + poison, want: "502 whole", parted: true},
	{name: "two lengths", clause: "RFC 9112, 6.3", say: ok + stay + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", want: "502 whole", parted: true},
	{name: "a list of lengths", clause: "RFC 9110, 8.6", say: ok + stay + "Content-Length: 5, 5\r\n\r\nhello", want: "502 whole", parted: true},
	{name: "a signed length", clause: "RFC 9110, 8.6", say: ok + stay + "Content-Length: +5\r\n\r\nhello", want: "502 whole", parted: true},
	{name: "a length past 64 bits", clause: "RFC 9110, 8.6", say: ok + stay + "Content-Length: 99999999999999999999\r\n\r\nhello", want: "502 whole", parted: true},
	{name: "an unknown coding", clause: "RFC 9112, 6.1", say: ok + stay + "Transfer-Encoding: x\r\n\r\nhello", want: "502 whole", parted: true},
	{name: "gzip, chunked", clause: "RFC 9112, 6.1", say: ok + stay + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", want: "502 whole", parted: true},
	{name: "a bad chunk's size", clause: "RFC 9112, 7.1", say: ok + stay + chunked + "\r\nxyz\r\nhello\r\n0\r\n\r\n", want: "200 cut", parted: true},
	{name: "a chunk that does not end", clause: "RFC 9112, 7.1", say: ok + stay + chunked + "\r\n5\r\nhello!!\r\n0\r\n\r\n", want: "200 cut", parted: true},
	{name: "a length in trailers", clause: "RFC 9110, 6.5.1", say: ok + stay + chunked + "\r\n5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n", want: "200 cut", parted: true},

	// The head.
	{name: "no reason", clause: "RFC 9112, 4", say: "HTTP/1.1 200 \r\n" + stay + "Content-Length: 2\r\n\r\nok", want: "200 whole", body: "ok"},
	{name: "no reason and no space", clause: "RFC 9112, 4", say: "HTTP/1.1 200\r\n" + stay + "Content-Length: 2\r\n\r\nok", want: "200 whole", body: "ok"},
	{name: "a reason of its own", clause: "RFC 9112, 4", say: "HTTP/1.1 418 Short And Stout\r\n" + stay + "Content-Length: 0\r\n\r\n", want: "418 whole", says: []string{"418 Short And Stout"}},
	{name: "a status of two digits", clause: "RFC 9110, 15", say: "HTTP/1.1 20 OK\r\n\r\n", want: "502 whole"},
	{name: "a status of four digits", clause: "RFC 9110, 15", say: "HTTP/1.1 2000 OK\r\n\r\n", want: "502 whole"},
	{name: "a status past 599", clause: "RFC 9110, 15", say: "HTTP/1.1 999 Odd\r\n\r\n", want: "502 whole"},
	{name: "a status that is no number", clause: "RFC 9112, 4", say: "HTTP/1.1 abc OK\r\n\r\n", want: "502 whole"},
	{name: "HTTP/2 in a status line", clause: "RFC 9112, 4", say: "HTTP/2.0 200 OK\r\n\r\n", want: "502 whole"},
	{name: "no HTTP at all", clause: "RFC 9112, 4", say: "220 mail.test ESMTP\r\n", want: "502 whole"},
	{name: "binary", clause: "RFC 9112, 4", say: "\x16\x03\x01\x00\xff\r\n\r\n", want: "502 whole"},
	{name: "nothing at all", clause: "RFC 9112, 9.2", say: "", want: "502 whole"},
	{name: "half a head", clause: "RFC 9112, 8", say: ok + "Content-Le", want: "502 whole"},
	{name: "a folded field", clause: "RFC 9112, 5.2", say: ok + stay + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", want: "502 whole", parted: true},
	{name: "LF in the head", clause: "RFC 9112, 2.2; response splitting", say: ok + stay + "X: a\nSet-Cookie: x=y\r\nContent-Length: 0\r\n\r\n", want: "502 whole", parted: true, lacks: []string{"Set-Cookie"}},
	{name: "CR in a value", clause: "RFC 9110, 5.5; response splitting", say: ok + stay + "X: a\rSet-Cookie: x=y\r\nContent-Length: 0\r\n\r\n", want: "502 whole", parted: true, lacks: []string{"Set-Cookie"}},
	{name: "NUL in a value", clause: "RFC 9110, 5.5", say: ok + stay + "X: a\x00b\r\nContent-Length: 0\r\n\r\n", want: "502 whole", parted: true},
	{name: "a space before a colon", clause: "RFC 9112, 5.1", say: ok + stay + "Content-Length : 5\r\n\r\nhello", want: "502 whole", parted: true},
	{name: "a name that is no token", clause: "RFC 9110, 5.1", say: ok + stay + "X(y): a\r\nContent-Length: 0\r\n\r\n", want: "502 whole", parted: true},
	{name: "a head without end", clause: "RFC 6585, 5", say: ok + "X: " + strings.Repeat("a", 400<<10) + "\r\n\r\n", want: "502 whole"},

	// This connection's own.
	{name: "Connection: close", clause: "RFC 9112, 9.6", say: ok + stay + "Connection: close\r\nContent-Length: 2\r\n\r\nok", want: "200 whole", body: "ok", parted: true},
	{name: "HTTP/1.0 closes", clause: "RFC 9112, 9.3", say: "HTTP/1.0 200 OK\r\n" + stay + "Content-Length: 2\r\n\r\nok", want: "200 whole", body: "ok", parted: true},
	{name: "a field that Connection names", clause: "RFC 9110, 7.6.1", say: ok + stay + "Connection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n", want: "200 whole", lacks: []string{"X-Hop"}},
	{name: "Keep-Alive and Proxy-Connection", clause: "RFC 9110, 7.6.1", say: ok + stay + "Keep-Alive: timeout=1\r\nProxy-Connection: x\r\nContent-Length: 0\r\n\r\n", want: "200 whole", lacks: []string{"timeout=1", "Proxy-Connection"}},
	{name: "Upgrade in another answer than 101", clause: "RFC 9110, 7.8", say: ok + stay + "Upgrade: h2c\r\nContent-Length: 0\r\n\r\n", want: "200 whole", lacks: []string{"h2c"}},
	{name: "101 that nobody asked for", clause: "RFC 9110, 15.2.2", say: "HTTP/1.1 101 Switching Protocols\r\n" + stay + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + poison, want: "502 whole", parted: true},
	{name: "several cookies stay apart", clause: "RFC 6265, 3", say: ok + stay + "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n", want: "200 whole", says: []string{"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"}},

	// More than one head.
	{name: "103 before the answer", clause: "RFC 8297, 2", say: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + stay + "Content-Length: 2\r\n\r\nok", want: "200 whole", body: "ok", says: []string{"HTTP/1.1 103 ", "Link: </a>"}},
	{name: "102 and 103 before the answer", clause: "RFC 9110, 15.2", say: "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + ok + stay + "Content-Length: 2\r\n\r\nok", want: "200 whole", body: "ok"},
	{name: "interim answers are not for HTTP/1.0", clause: "RFC 9110, 15.2", old: true, say: "HTTP/1.1 103 Early Hints\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok", want: "200 whole", body: "ok", lacks: []string{"HTTP/1.1 103"}},
	{name: "interim answers without end", clause: "RFC 9110, 15.2", say: strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 5000), want: "502 whole"},
	{name: "100 that nobody asked for", clause: "RFC 9110, 15.2.1", say: "HTTP/1.1 100 Continue\r\n\r\n" + ok + stay + "Content-Length: 2\r\n\r\nok", want: "200 whole", body: "ok"},
}
