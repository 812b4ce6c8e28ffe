package api

// Finding is one thing looked at and how it was found. GET /v2/doctor answers
// a bare array of them, to administrators.
type Finding struct {
	Name   string `json:"name"`
	Status string `json:"status" enum:"ok,warn,fail"`
	Text   string `json:"text"`
	Cure   string `json:"cure" doc:"What to do about it; empty when ok."`
}
