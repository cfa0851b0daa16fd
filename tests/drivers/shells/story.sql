-- What a person at a shell does. --force goes on after errors, which are part of the story.
SELECT CURRENT_USER(), DATABASE(), VERSION();
SHOW VARIABLES LIKE 'character\_set\_c%';
CREATE TABLE things (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100) CHARACTER SET utf8mb4 UNIQUE,
  price DECIMAL(12,4), ratio DOUBLE, at DATETIME(6), kind ENUM('a','b'), bits BIT(12), doc JSON, data BLOB);
INSERT INTO things (name, price, ratio, at, kind, bits, doc, data)
  VALUES ('Grüße, κόσμε, 世界, 🐬', 1234.5678, 0.1, '1999-12-31 23:59:59.999999', 'b', 1025, '{"a": [1, null]}', x'00ff');
INSERT INTO things (name) VALUES (NULL), ('two'), ('three');
SELECT LAST_INSERT_ID(), ROW_COUNT();
SELECT * FROM things ORDER BY id;
SELECT * FROM things WHERE FALSE;
DESCRIBE things;
SHOW CREATE TABLE things;
SHOW TABLES;
UPDATE things SET price = 1 WHERE id > 1;
UPDATE things SET price = 1 WHERE id > 1;
SELECT ROW_COUNT();
INSERT INTO things (name) VALUES ('two');
SELEKT;
SELECT * FROM nosuch;
USE app_nosuch
USE mysql
SELECT DATABASE();
SET sql_mode = '';
INSERT INTO things (price, at) VALUES ('abc', 'yesterday');
SHOW WARNINGS;
SHOW COUNT(*) WARNINGS;
DELETE FROM things WHERE at = 0;
SET sql_mode = DEFAULT;
START TRANSACTION;
DELETE FROM things;
SELECT COUNT(*) FROM things;
ROLLBACK;
SELECT COUNT(*) FROM things;
BEGIN;
SAVEPOINT one;
UPDATE things SET ratio = 2;
ROLLBACK TO one;
RELEASE SAVEPOINT one;
COMMIT AND CHAIN;
COMMIT;
SET @a = 5, @b := 'ü';
SELECT @a, @b, @c;
SELECT 7, 8 INTO @d, @e;
SELECT @d + @e;
CREATE TEMPORARY TABLE scratch SELECT 1 AS x UNION SELECT 2;
SELECT * FROM scratch ORDER BY x;
DROP TEMPORARY TABLE scratch;
PREPARE p FROM 'SELECT ? + ?';
EXECUTE p USING @a, @d;
DEALLOCATE PREPARE p;
EXECUTE p USING @a, @d;
DELIMITER //
CREATE PROCEDURE two_results (IN a INT, OUT b INT)
BEGIN
  SELECT a AS first;
  SET b = a * 2;
  SELECT 'x' AS second, b;
END //
CREATE FUNCTION doubled (a INT) RETURNS INT DETERMINISTIC RETURN a * 2 //
SELECT 1 // SELECT 2; SELECT 3 //
DELIMITER ;
CALL two_results(4, @out);
SELECT @out, doubled(21);
CALL nosuch();
LOCK TABLES things WRITE;
SELECT COUNT(*) FROM things;
SELECT * FROM two;
UNLOCK TABLES;
SELECT GET_LOCK(CONCAT(DATABASE(), ' lock'), 0), IS_FREE_LOCK(CONCAT(DATABASE(), ' lock')) , RELEASE_LOCK(CONCAT(DATABASE(), ' lock'));
EXPLAIN FORMAT=TRADITIONAL SELECT 1;
CHECK TABLE things;
SELECT SQL_CALC_FOUND_ROWS id FROM things LIMIT 1;
SELECT FOUND_ROWS();
SET NAMES latin1;
SELECT HEX(@b), 'é' = _latin1 x'c3a9' AS same, @@character_set_results;
SET NAMES utf8mb4;
SET time_zone = '+01:00';
SELECT @@time_zone;
SELECT @a, @@time_zone = '+01:00' AS kept, DATABASE();
CREATE VIEW seen AS SELECT id, name FROM things;
SELECT * FROM seen ORDER BY id LIMIT 1;
SELECT REPEAT('long ', 5) AS text, 1e100 AS big, -0.0 AS zero, NULL AS nothing\G
SELECT SLEEP(0);
DO 1;
SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine';
SHOW ERRORS;
SELECT '# the end' AS '';
