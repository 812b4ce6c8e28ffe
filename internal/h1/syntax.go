package h1

// The classes of bytes that a head is made of.
const (
	tokenByte  = 1 << iota // tchar: RFC 9110, 5.6.2
	valueByte              // of a field's value: VCHAR, obs-text, SP, HTAB: RFC 9110, 5.5
	targetByte             // of a request's target: VCHAR but no quote that a URI cannot hold: RFC 9112, 3.2
	hostByte               // of a host with its port: RFC 3986, 3.2.2
)

var classes = classify()

func classify() (table [256]uint8) {
	for b := 0x21; b < 0x7f; b++ {
		table[b] |= valueByte | targetByte
	}
	for b := 0x80; b < 0x100; b++ {
		table[b] |= valueByte
	}
	table[' '] |= valueByte
	table['\t'] |= valueByte
	// Of what no URI holds, browsers send quotes, brackets and the like as they
	// are, and nothing reads a message's end from them.
	table['\\'] &^= targetByte
	table['#'] &^= targetByte // a fragment is never sent: RFC 9112, 3.2
	for b := '0'; b <= '9'; b++ {
		table[b] |= tokenByte | hostByte
	}
	for b := 'a'; b <= 'z'; b++ {
		table[b] |= tokenByte | hostByte
		table[b-'a'+'A'] |= tokenByte | hostByte
	}
	for _, b := range []byte("!#$%&'*+-.^_`|~") {
		table[b] |= tokenByte
	}
	for _, b := range []byte("-._~%!$&'()*+,;=:[]") {
		table[b] |= hostByte
	}
	return table
}

// all reports whether every byte of text is of a class.
func all(text []byte, class uint8) bool {
	for _, b := range text {
		if classes[b]&class == 0 {
			return false
		}
	}
	return true
}

// IsToken reports whether text is a token (RFC 9110, 5.6.2): a name of a field.
func IsToken(text []byte) bool { return len(text) > 0 && all(text, tokenByte) }

// Is reports whether text is word but for case; word is lower case ASCII.
func Is(text []byte, word string) bool {
	if len(text) != len(word) {
		return false
	}
	for i := range word {
		if Lower(text[i]) != word[i] {
			return false
		}
	}
	return true
}

// Lower is an ASCII letter in lower case, and any other byte as it is.
func Lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + ('a' - 'A')
	}
	return b
}

// Trim cuts optional whitespace (OWS: RFC 9110, 5.6.3) off both ends.
func Trim(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
		text = text[1:]
	}
	for len(text) > 0 && (text[len(text)-1] == ' ' || text[len(text)-1] == '\t') {
		text = text[:len(text)-1]
	}
	return text
}

// next cuts the first element off a comma list. Quoted strings are no part of
// the lists it is used for.
func next(list []byte) (element, rest []byte, ok bool) {
	if list == nil {
		return nil, nil, false
	}
	for i, b := range list {
		if b == ',' {
			return Trim(list[:i]), list[i+1:], true
		}
	}
	return Trim(list), nil, true
}
