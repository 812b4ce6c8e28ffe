package api

import "encoding/json"

// List is a page of an ordered list: ?limit= and ?offset= choose it, the
// default limit is 100. Next and Previous are absolute URLs, null at the ends.
type List[T any] struct {
	Count    int     `json:"count" doc:"How many there are in all."`
	Next     *string `json:"next" doc:"URL of the next page."`
	Previous *string `json:"previous" doc:"URL of the page before."`
	Results  []T     `json:"results"`
}

// MarshalJSON writes an empty list as [], never null.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l.Results == nil {
		l.Results = []T{}
	}
	type plain List[T]
	return json.Marshal(plain(l))
}
