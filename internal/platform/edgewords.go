package platform

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/textproto"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Edge has two forms in JSON. Between control plane and routers it is what
// encoding/json makes of it. People and the REST API have its words: the same
// names, but spans as "30s" or "1y" and sizes as "10M", and nothing that is not
// known. The words follow the fields of Edge by themselves.

// MaxEdge bounds the words of one app, in bytes.
const MaxEdge = 256 << 10

// Masked stands in words for what is secret. Written back it leaves that as it is.
const Masked = "********"

// maxComplaints is how many things that are wrong one error names.
const maxComplaints = 20

// EdgePatch is a change of an Edge in its words, as RFC 7396 merges it: null
// takes a word away, an object is merged, all else replaces.
type EdgePatch struct {
	// Of is the Tag of the Edge that the patch was made of; empty: any. A list is
	// replaced whole, so who adds to one says of which.
	Of string

	words map[string]any
}

// Tag is the same for Edges that say the same, secrets aside.
func (e Edge) Tag() string {
	text, _ := json.Marshal(e.WithoutSecrets().Words()) // of plain data
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// ParseEdgePatch reads a patch. Whether its words are known and good can only
// be said of what it makes: see Edge.Patched.
func ParseEdgePatch(data []byte) (EdgePatch, error) {
	if len(data) > 4*MaxEdge {
		return EdgePatch{}, Invalid("", "The words of an edge have at most %s.", SizeText(MaxEdge))
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var words map[string]any
	if err := decoder.Decode(&words); err != nil || words == nil {
		return EdgePatch{}, Invalid("", "An edge is a JSON object, such as {\"timeouts\":{\"answer\":\"30s\"}}.")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return EdgePatch{}, Invalid("", "Something follows the JSON object.")
	}
	if headers, ok := words["headers"].(map[string]any); ok {
		named, twice := canonical(headers)
		if twice != "" {
			return EdgePatch{}, Invalid("headers."+clipped(twice), "This header comes twice.")
		}
		words["headers"] = named
	}
	return EdgePatch{words: words}, nil
}

// canonical are headers by the names that everybody writes, so that a patch
// finds them, and one that comes twice then.
func canonical[V any](headers map[string]V) (named map[string]V, twice string) {
	named = make(map[string]V, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		known := textproto.CanonicalMIMEHeaderKey(name)
		if _, taken := named[known]; taken {
			return nil, name
		}
		named[known] = headers[name]
	}
	return named, ""
}

// HashPasswords puts hashes in the place of the patch's passwords. It takes
// some 15 ms for each.
func (p EdgePatch) HashPasswords() error {
	auth, _ := p.words["auth"].(map[string]any)
	users, _ := auth["users"].(map[string]any)
	if len(users) > maxEdgeUsers {
		return Invalid("auth.users", "At most %d may be let in by name.", maxEdgeUsers)
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		password, ok := users[name].(string)
		if !ok || password == Masked || ValidPasswordHash(password) {
			continue
		}
		hash, err := HashPassword(password)
		if err != nil {
			return Invalid("auth.users."+name, "A password has %d to %d bytes.", MinVisitorPassword, MaxVisitorPassword)
		}
		users[name] = hash
	}
	return nil
}

// Patched is e with the patch applied: in order (see Tidy) and valid. The error
// names each field that is wrong, and is one FieldError or several joined;
// ErrStale when the patch was made of another Edge.
func (e Edge) Patched(p EdgePatch) (Edge, error) {
	if p.Of != "" && p.Of != e.Tag() {
		return Edge{}, &UserError{Kind: ErrStale, Message: "The edge of this app was changed meanwhile.", Cure: "Look at it again (slipway edge), and make your change to what is there now."}
	}
	merged, _ := mergePatch(e.Words(), p.words).(map[string]any)
	var out Edge
	r := wordReader{}
	r.read(reflect.ValueOf(&out).Elem(), merged, "")
	if err := errors.Join(r.wrong...); err != nil {
		return Edge{}, err
	}
	if out.Auth != nil {
		for name, hash := range out.Auth.Users {
			if hash == Masked && e.Auth != nil && e.Auth.Users[name] != "" {
				out.Auth.Users[name] = e.Auth.Users[name]
			}
		}
	}
	out = out.Tidy()
	return out, out.Validate()
}

// ParseEdge reads an Edge from its words.
func ParseEdge(data []byte) (Edge, error) {
	patch, err := ParseEdgePatch(data)
	if err != nil {
		return Edge{}, err
	}
	return Edge{}.Patched(patch)
}

// Words are e as people read it, as encoding/json takes it. What is secret is in
// them: see WithoutSecrets.
func (e Edge) Words() map[string]any {
	words, _ := wordsOf(reflect.ValueOf(e)).(map[string]any)
	return words
}

// WithoutSecrets is e with Masked in the place of each hash.
func (e Edge) WithoutSecrets() Edge {
	if e.Auth == nil {
		return e
	}
	auth := *e.Auth
	auth.Users = make(map[string]string, len(e.Auth.Users))
	for name := range e.Auth.Users {
		auth.Users[name] = Masked
	}
	e.Auth = &auth
	return e
}

// mergePatch is RFC 7396's MergePatch. It shares parts of both with what it returns.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	before, _ := target.(map[string]any)
	merged := make(map[string]any, len(before)+len(changes))
	maps.Copy(merged, before)
	for name, value := range changes {
		if value == nil {
			delete(merged, name)
			continue
		}
		merged[name] = mergePatch(merged[name], value)
	}
	return merged
}

var spanType = reflect.TypeFor[time.Duration]()

// wordsOf is plain data in words. An int64 is a size.
func wordsOf(v reflect.Value) any {
	switch v.Kind() { //nolint:exhaustive // plain data has no other kinds
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return wordsOf(v.Elem())
	case reflect.Struct:
		words := make(map[string]any)
		for i := range v.NumField() {
			name, omit := wordName(v.Type().Field(i))
			if field := v.Field(i); !omit || !empty(field) {
				words[name] = wordsOf(field)
			}
		}
		return words
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = wordsOf(v.Index(i))
		}
		return list
	case reflect.Map:
		words := make(map[string]any, v.Len())
		for entries := v.MapRange(); entries.Next(); {
			words[entries.Key().String()] = wordsOf(entries.Value())
		}
		return words
	case reflect.Int64:
		if v.Type() == spanType {
			return SpanText(time.Duration(v.Int()))
		}
		return SizeText(v.Int())
	case reflect.Int:
		return json.Number(strconv.FormatInt(v.Int(), 10))
	case reflect.Float64:
		return json.Number(strconv.FormatFloat(v.Float(), 'g', -1, 64))
	case reflect.Bool:
		return v.Bool()
	}
	return v.String()
}

// wordName is what a field is called in words, and whether it is left out when
// it is empty.
func wordName(field reflect.StructField) (name string, omit bool) {
	name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name, strings.HasPrefix(options, "omit")
}

func empty(v reflect.Value) bool {
	return v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

// wordReader reads words into plain data and gathers what is wrong with them.
type wordReader struct{ wrong []error }

func (r *wordReader) reject(field, format string, args ...any) {
	if len(r.wrong) < maxComplaints {
		r.wrong = append(r.wrong, Invalid(field, format, args...))
	}
}

func (r *wordReader) read(to reflect.Value, word any, field string) {
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		r.read(to.Elem(), word, field)
	case reflect.Struct:
		r.readStruct(to, word, field)
	case reflect.Slice:
		r.readList(to, word, field)
	case reflect.Map:
		r.readMap(to, word, field)
	case reflect.Bool:
		on, ok := word.(bool)
		if !ok {
			r.reject(field, "%s is neither true nor false.", shown(word))
		}
		to.SetBool(on)
	case reflect.String:
		text, ok := word.(string)
		if !ok {
			r.reject(field, "%s is no text: write it in quotes.", shown(word))
		}
		to.SetString(text)
	default:
		r.readNumber(to, word, field)
	}
}

func (r *wordReader) readStruct(to reflect.Value, word any, field string) {
	words, ok := word.(map[string]any)
	if !ok {
		r.reject(field, "%s is no object: write {…}.", shown(word))
		return
	}
	known := make(map[string]reflect.Value)
	for i := range to.NumField() {
		name, _ := wordName(to.Type().Field(i))
		known[name] = to.Field(i)
	}
	for _, name := range slices.Sorted(maps.Keys(words)) {
		place, ok := known[name]
		switch {
		case !ok:
			r.reject(below(field, clipped(name)), "There is no such word; there are %s.", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		case words[name] != nil:
			r.read(place, words[name], below(field, name))
		}
	}
}

func (r *wordReader) readList(to reflect.Value, word any, field string) {
	list, ok := word.([]any)
	if !ok {
		r.reject(field, "%s is no list: write […].", shown(word))
		return
	}
	if len(list) == 0 {
		return
	}
	if len(list) > maxEdgeList {
		r.reject(field, "A list has at most %d items.", maxEdgeList)
		return
	}
	to.Set(reflect.MakeSlice(to.Type(), len(list), len(list)))
	for i, item := range list {
		r.read(to.Index(i), item, fmt.Sprintf("%s[%d]", field, i))
	}
}

func (r *wordReader) readMap(to reflect.Value, word any, field string) {
	words, ok := word.(map[string]any)
	if !ok {
		r.reject(field, "%s is no object: write {…}.", shown(word))
		return
	}
	if len(words) == 0 {
		return
	}
	to.Set(reflect.MakeMapWithSize(to.Type(), len(words)))
	for _, name := range slices.Sorted(maps.Keys(words)) {
		value := reflect.New(to.Type().Elem()).Elem()
		r.read(value, words[name], below(field, clipped(name)))
		to.SetMapIndex(reflect.ValueOf(name), value)
	}
}

func (r *wordReader) readNumber(to reflect.Value, word any, field string) {
	text, isText := word.(string)
	if number, ok := word.(json.Number); ok {
		text = number.String()
	}
	switch {
	case to.Type() == spanType:
		span, ok := ParseSpan(text)
		if !ok {
			r.reject(field, "%s is no span of time: write 250ms, 30s, 5m, 12h, 30d or 1y.", shown(word))
		}
		to.SetInt(int64(span))
	case to.Kind() == reflect.Int64:
		size, ok := ParseSize(text)
		if !ok {
			r.reject(field, "%s is no size: write 512K, 10M or 2G.", shown(word))
		}
		to.SetInt(size)
	case to.Kind() == reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || isText || math.IsInf(f, 0) {
			r.reject(field, "%s is no number.", shown(word))
			return
		}
		to.SetFloat(f)
	default:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || isText {
			r.reject(field, "%s is no whole number.", shown(word))
			return
		}
		to.SetInt(n)
	}
}

func below(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// shown is a word in an error's message.
func shown(word any) string {
	text, err := json.Marshal(word)
	if err != nil {
		return "this"
	}
	return clipped(string(text))
}
