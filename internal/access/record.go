package access

import "time"

// Record is one request as it ended. Its strings need to hold only while Write
// runs. Empty ones are left out of JSON and are "-" in the combined format.
type Record struct {
	Time     time.Time // when its head had arrived
	Duration time.Duration
	App      string // empty for the control plane and unknown hosts
	Process  string
	Release  int
	Instance string // the one that answered, or was tried last
	Client   string // address, without port
	Host     string
	Method   string
	Path     string
	Query    string // written only when asked for: it may hold secrets
	Proto    string
	Scheme   string
	Status   int   // 499 when the client left before an answer
	Bytes    int64 // of the answer's body
	In       int64 // of the request's body
	Attempts int   // instances it was sent to
	// Why says why the router answered by itself, in a word.
	Why       string
	RequestID string
	Referer   string
	Agent     string
	Failed    bool
}
