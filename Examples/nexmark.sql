-- %% [markdown]
-- # A tour of Nexmark
--
-- Nexmark is a benchmark of stream queries about an auction site: people register, open auctions, and bid. Of fifty events one is a
-- person, three are auctions and 46 are bids. The generator makes the same events for the same seed.

-- %% Parameters [parameters]
-- events = 30000
-- seed = 1

-- %% The events language="sh"
-- # 500 events a second of event time: a minute of the site.
-- mkdir -p "$SWIFTWATER_DATA"
-- swiftwater generate nexmark --events ${events} --seed ${seed} --rate 500 --output "$SWIFTWATER_DATA/nexmark.json"

-- %% One stream of three kinds
-- An event has one of three rows; the others are NULL. The watermark leaves them four seconds to come late.
CREATE TABLE nexmark (
  event_type INT,
  person ROW<id BIGINT, name STRING, emailAddress STRING, creditCard STRING, city STRING, state STRING, dateTime TIMESTAMP(3), extra STRING>,
  auction ROW<id BIGINT, itemName STRING, description STRING, initialBid BIGINT, reserve BIGINT, dateTime TIMESTAMP(3), expires TIMESTAMP(3),
    seller BIGINT, category BIGINT, extra STRING>,
  bid ROW<auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, dateTime TIMESTAMP(3), extra STRING>,
  dateTime AS CASE event_type WHEN 0 THEN person.dateTime WHEN 1 THEN auction.dateTime ELSE bid.dateTime END,
  WATERMARK FOR dateTime AS dateTime - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/nexmark.json', 'format' = 'json');

CREATE VIEW person AS SELECT person.id, person.name, person.city, person.state, dateTime FROM nexmark WHERE event_type = 0;

CREATE VIEW auction AS
SELECT auction.id, auction.itemName, auction.initialBid, auction.reserve, dateTime, auction.expires, auction.seller, auction.category
FROM nexmark WHERE event_type = 1;

CREATE VIEW bid AS SELECT bid.auction, bid.bidder, bid.price, bid.channel, dateTime FROM nexmark WHERE event_type = 2;

SELECT CASE event_type WHEN 0 THEN 'person' WHEN 1 THEN 'auction' ELSE 'bid' END AS kind, COUNT(*) AS events FROM nexmark GROUP BY event_type;

-- %% Bids in time
-- @chart area x=second y=bids group=channel title="Bids every five seconds, by channel"
SELECT window_start AS `second`, CASE WHEN channel LIKE 'channel-%' THEN 'others' ELSE channel END AS channel, COUNT(*) AS bids
  FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '5' SECOND))
 GROUP BY window_start, window_end, CASE WHEN channel LIKE 'channel-%' THEN 'others' ELSE channel END;

-- %% Query 1: currency
-- Each bid in another currency: a row for a row.
SELECT auction, bidder, price, 0.908 * price AS euros, dateTime FROM bid LIMIT 5;

-- %% Query 3: who is selling in particular states
-- A join without windows keeps both sides: whoever comes second finds the other.
SELECT P.name, P.city, P.state, A.id AS auction
  FROM auction AS A JOIN person AS P ON A.seller = P.id
 WHERE A.category = 10 AND P.state IN ('OR', 'ID', 'CA')
 ORDER BY auction LIMIT 10;

-- %% Query 4: the closing price of a category
-- @chart bar x=category y=average title="Average closing price"
-- An average over maxima: each higher bid takes the maximum before it out of the average.
SELECT category, AVG(final) AS average
  FROM (SELECT MAX(B.price) AS final, A.category
          FROM auction AS A, bid AS B
         WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires
         GROUP BY A.id, A.category)
 GROUP BY category ORDER BY category;

-- %% Query 5: hot items
-- @chart scatter x=window_end y=num title="Bids for the hottest auction of the ten seconds before"
-- The auctions with the most bids in ten seconds, every two seconds: the first place of each window.
SELECT window_end, auction, num
  FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY num DESC, auction) AS place
          FROM (SELECT window_start, window_end, auction, COUNT(*) AS num
                  FROM TABLE(HOP(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
                 GROUP BY window_start, window_end, auction))
 WHERE place = 1;

-- %% Query 7: the highest bid of each ten seconds
SELECT B.auction, B.price, B.bidder, B.dateTime
  FROM bid AS B
  JOIN (SELECT MAX(price) AS price, window_start, window_end FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '10' SECOND))
         GROUP BY window_start, window_end) AS M
    ON B.price = M.price AND B.dateTime >= M.window_start AND B.dateTime < M.window_end
 ORDER BY B.dateTime;

-- %% Query 11: how busy bidders are
-- @chart scatter x=seconds y=bids title="Sessions: ten seconds without a bid end one"
SELECT bidder, bids, TIMESTAMPDIFF(SECOND, window_start, window_end) AS `seconds`
  FROM (SELECT bidder, COUNT(*) AS bids, window_start, window_end
          FROM TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(dateTime), INTERVAL '10' SECOND))
         GROUP BY bidder, window_start, window_end)
 ORDER BY bids DESC LIMIT 200;

-- %% How high bids are, in Swift language="swift"
-- // @needs swiftc
-- // A compiled cell; sql gives a dictionary for each row. Where there is no Swift toolchain it is left out.
-- let prices = try sql("SELECT price FROM bid").compactMap { $0["price"] as? Int }.sorted()
-- for percent in [50, 90, 99] {
--     print("\(percent) % of the bids are at most \(prices[(prices.count - 1) * percent / 100])")
-- }

-- %% [markdown]
-- `Benchmarks/Nexmark/queries` has all of them as they are measured, and `make bench-nexmark` runs them over five million events.
