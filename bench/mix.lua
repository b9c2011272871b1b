-- wrk's side of the soak: the requests in the files of BENCH_MIX, one after another.
local requests, turn = {}, 0
for path in os.getenv("BENCH_MIX"):gmatch("[^\n]+") do
  local file = io.open(path, "rb")
  requests[#requests + 1] = file:read("*a")
  file:close()
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary)
  local e = summary.errors
  io.write(string.format('BENCH {"requests": %d, "refused": %d, "timeouts": %d, "connect": %d, "read": %d, "write": %d}\n',
    summary.requests, e.status, e.timeout, e.connect, e.read, e.write))
end
